// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code flag}, option B of <em>RFC: vfio API changes needed for powerpc</em>: MAP_DMA with an MSI flag. The user gives
 * an address and no memory; VFIO puts the next bank there that is not mapped, and tells which. There is no count to ask
 * for: when all banks are mapped, the next call gets ENODEV.
 *
 * <p>A bank that comes later is mapped by one call more: ENODEV says so, if a vector of no other bank will do.
 */
@Component(property = {"msi.strategy=flag", "service.ranking:Integer=-40"})
public final class FlagStrategy implements MsiStrategy {
    private static final String MAP = "MAP_DMA_MSI";
    private static final String UNMAP = "UNMAP_DMA_MSI";

    @Override
    public String name() {
        return "flag";
    }

    @Override
    public List<String> operations() {
        return List.of(MAP + " iova size", UNMAP + " iova");
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        return new Banks(environment).anywhere("the user maps %d banks like memory, with a flag", 0, 1);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, new Banks(environment));
    }

    private record Session(FlagStrategy strategy, Banks banks) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            return banks.mapped(MAP);
        }

        @Override
        public long enable(int bank) {
            return banks.mapped(bank, MAP + " iova size, until it returns " + bank + ",");
        }

        /** {@inheritDoc} Always: as if the user had mapped them. */
        @Override
        public boolean adopt(List<MsiPlacement> placements) {
            return true;
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
                case MAP -> {
                    Banks.arity(operation, arguments, 2);
                    return map(arguments[0], arguments[1]);
                }
                case UNMAP -> {
                    Banks.arity(operation, arguments, 1);
                    banks.unmap(arguments[0]);
                    return 0;
                }
                default -> throw Banks.unknown(strategy, operation);
            }
        }

        @Override
        public void close() {
            banks.removeAll();
        }

        private int map(long iova, long size) {
            int next = banks.indexes().stream().filter(index -> banks.placement(index) == null).findFirst()
                .orElseThrow(
                    () -> new ErrnoException(Errno.ENODEV, "no MSI bank is left to be mapped at iova 0x%x: of banks %s "
                    + "each is mapped", iova, banks.indexes()));
            long length = banks.require(next).length();
            if (size != length) {
                throw new ErrnoException(Errno.EINVAL, "size 0x%x: MSI bank %d, the next to be mapped, has 0x%x bytes",
                    size, next, length);
            }
            banks.map(next, iova);
            return next;
        }
    }
}
