// SPDX-License-Identifier: Apache-2.0
package itest.third;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/** {@code lowest}: a bank goes, when it is needed, to the lowest window that is free. */
public final class LowestStrategy implements MsiStrategy {
    @Override
    public String name() {
        return "lowest";
    }

    @Override
    public List<String> operations() {
        return List.of();
    }

    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        return environment.capabilities().windowed()
            ? new MsiAssessment(true, "each bank goes to the lowest free window", environment.banks().size(), 0)
            : MsiAssessment.refused("there are no windows");
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(environment);
    }

    private record Session(MsiEnvironment environment) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            return environment.banks().stream().map(MsiEnvironment.Bank::index).toList();
        }

        @Override
        public long enable(int bank) {
            for (MsiPlacement placement : environment.placements()) {
                if (placement.bank() == bank) {
                    return placement.iova();
                }
            }
            long span = environment.geometry().size() / environment.windows();
            for (int window = 0; window < environment.windows(); window++) {
                long iova = environment.geometry().start() + window * span;
                if (environment.mappings().stream().noneMatch(one -> one.iova() < iova + span && one.end() >= iova)
                        && environment.placements().stream().noneMatch(one -> one.iova() == iova)) {
                    environment.place(bank, iova);
                    return iova;
                }
            }
            throw new ErrnoException(Errno.ENOSPC, "no window is free for MSI bank %d", bank);
        }

        @Override
        public void disable(int bank) {
            // A bank stays where it is until the session ends.
        }

        @Override
        public void mapping(long iova, long length) {
            // The user may map anywhere.
        }

        @Override
        public long call(String operation, long... arguments) {
            throw new ErrnoException(Errno.ENOTTY, "strategy lowest has no operation %s", operation);
        }

        @Override
        public void close() {
            // The container takes away what is placed.
        }
    }
}
