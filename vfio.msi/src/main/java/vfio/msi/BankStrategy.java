// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.ReservedRegion;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiEnvironment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiSession;
import vfio.api.msi.MsiStrategy;

/**
 * {@code bank}: the user asks how many banks there are and says at which address each is to be reached. The outcome of
 * the discussion of 2013 and what the driver of that year did.
 */
@Component(property = "msi.strategy=bank")
public final class BankStrategy implements MsiStrategy {
    private static final String COUNT = "GET_MSI_BANK_COUNT";
    private static final String MAP = "MAP_MSI_BANK";
    private static final String UNMAP = "UNMAP_MSI_BANK";

    @Override
    public String name() {
        return "bank";
    }

    @Override
    public List<String> operations() {
        return List.of(COUNT, MAP + " index iova", UNMAP + " iova");
    }

    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        int banks = environment.banks().size();
        if (banks == 0) {
            return MsiAssessment.refused("the interrupt controller has no MSI bank");
        }
        if (environment.capabilities().reserved().stream().anyMatch(region -> region.kind() == ReservedRegion.Kind.MSI)) {
            return MsiAssessment.refused("MSIs do not enter translation here, so no bank can be mapped");
        }
        if (environment.windows() > 0 && environment.windows() <= banks) {
            return MsiAssessment.refused(String.format(
                "%d windows leave none for memory beside %d banks", environment.windows(), banks));
        }
        return new MsiAssessment(true, String.format("the user maps each of %d banks into a window", banks), banks, 1 + banks);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(environment);
    }

    private record Session(MsiEnvironment environment) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            List<Integer> placed = environment.banks().stream().map(MsiEnvironment.Bank::index)
                .filter(bank -> environment.placements().stream().anyMatch(placement -> placement.bank() == bank)).toList();
            if (placed.isEmpty()) {
                throw new ErrnoException(Errno.ENODEV, "no MSI bank is mapped; call %s first, for one of %s", MAP,
                    environment.banks().stream().map(bank -> "bank " + bank.index()).toList());
            }
            return placed;
        }

        @Override
        public long enable(int bank) {
            for (MsiPlacement placement : environment.placements()) {
                if (placement.bank() == bank) {
                    return placement.iova();
                }
            }
            throw new ErrnoException(Errno.ENODEV, "MSI bank %d is not mapped; call %s %d iova first", bank, MAP, bank);
        }

        @Override
        public void disable(int bank) {
            // The window stays: it is the user's.
        }

        @Override
        public void mapping(long iova, long length) {
            // Any free window will do.
        }

        @Override
        public long call(String operation, long... arguments) {
            switch (operation) {
                case COUNT -> {
                    arity(operation, arguments, 0);
                    return environment.banks().size();
                }
                case MAP -> {
                    arity(operation, arguments, 2);
                    map(arguments[0], arguments[1]);
                }
                case UNMAP -> {
                    arity(operation, arguments, 1);
                    unmap(arguments[0]);
                }
                default -> throw new ErrnoException(Errno.ENOTTY, "strategy bank has no operation %s", operation);
            }
            return 0;
        }

        @Override
        public void close() {
            environment.placements().forEach(placement -> environment.remove(placement.iova()));
        }

        private void map(long index, long iova) {
            if (environment.banks().stream().noneMatch(bank -> bank.index() == index)) {
                throw new ErrnoException(Errno.ENODEV, "there is no MSI bank %d for this container; it has %s", index,
                    environment.banks().stream().map(MsiEnvironment.Bank::index).toList());
            }
            for (MsiPlacement placement : environment.placements()) {
                if (placement.bank() == index) {
                    throw new ErrnoException(Errno.EEXIST, "MSI bank %d is mapped at iova 0x%x; unmap it there first", index,
                        placement.iova());
                }
            }
            environment.place((int) index, iova);
        }

        private void unmap(long iova) {
            MsiPlacement placement = environment.placements().stream().filter(candidate -> candidate.iova() == iova).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.EINVAL, "no MSI bank is mapped at iova 0x%x", iova));
            for (MsiEnvironment.Bank bank : environment.banks()) {
                if (bank.index() == placement.bank() && bank.vectorsInUse() > 0) {
                    throw new ErrnoException(Errno.EBUSY,
                        "%d vectors of MSI bank %d at iova 0x%x are enabled; disable them first", bank.vectorsInUse(),
                        bank.index(), iova);
                }
            }
            environment.remove(iova);
        }

        private static void arity(String operation, long[] arguments, int expected) {
            if (arguments.length != expected) {
                throw new ErrnoException(Errno.EINVAL, "%s takes %d arguments, not %d", operation, expected, arguments.length);
            }
        }
    }
}
