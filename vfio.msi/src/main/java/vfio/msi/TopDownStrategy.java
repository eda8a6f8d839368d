// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code topdown}, Alex Williamson's counter-proposal in <em>RFC: vfio API changes needed for powerpc</em>: the user
 * maps memory from the start of the aperture upwards, VFIO maps banks as they are needed, each in the highest window
 * that is free. The user asks for the count and leaves that many windows; nobody keeps it from filling them, and then a
 * bank finds none.
 *
 * <p>A bank that comes later gets the next free window like any other: ENOSPC if there is none. With its last vector a
 * bank's window is given back.
 */
@Component(property = {"msi.strategy=topdown", "service.ranking:Integer=-20"})
public final class TopDownStrategy implements MsiStrategy {
    private static final String COUNT = "GET_MSI_BANK_COUNT";

    @Override
    public String name() {
        return "topdown";
    }

    @Override
    public List<String> operations() {
        return List.of(COUNT);
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        return environment.capabilities().windowed()
            ? new Banks(environment).anywhere("each of %d banks gets the highest free window as soon as it is needed",
                1, 0)
            : MsiAssessment.refused("translation is paged here: there are no windows to go through from the top");
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, environment, new Banks(environment));
    }

    private record Session(TopDownStrategy strategy, MsiEnvironment environment, Banks banks) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            return banks.onDemand(bank -> !free().isEmpty());
        }

        @Override
        public long enable(int bank) {
            return banks.place(bank, this::highest);
        }

        @Override
        public void disable(int bank) {
            banks.leave(bank);
        }

        @Override
        public void mapping(long iova, long length) {
            // To leave windows is the user's part.
        }

        @Override
        public long call(String operation, long... arguments) {
            if (!operation.equals(COUNT)) {
                throw Banks.unknown(strategy, operation);
            }
            Banks.arity(operation, arguments, 0);
            return environment.banks().size();
        }

        @Override
        public void close() {
            banks.removeAll();
        }

        private List<Long> free() {
            return banks.free(banks.aperture(), environment.windows());
        }

        private long highest(int bank) {
            List<Long> free = free();
            if (free.isEmpty()) {
                throw new ErrnoException(Errno.ENOSPC,
                    "none of the %d windows is free for MSI bank %d; unmap memory, and leave %d",
                    environment.windows(), bank, environment.banks().size());
            }
            return free.get(free.size() - 1);
        }
    }
}
