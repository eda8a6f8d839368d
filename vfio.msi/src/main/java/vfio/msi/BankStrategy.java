// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import java.util.List;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code bank}: the user asks how many banks there are and says at which address each is to be reached. The outcome of
 * <em>RFC: vfio API changes needed for powerpc</em> (kvm and iommu lists, April 2013), and the interface of the PAMU
 * driver that followed.
 *
 * <p>A bank that comes later is the user's to map: ENODEV says so, if a vector of no other bank will do.
 */
@Component(property = "msi.strategy=bank")
public final class BankStrategy implements MsiStrategy {
    private static final String COUNT = "GET_MSI_BANK_COUNT";
    private static final String MAP = "MAP_MSI_BANK";
    private static final String MOVE = "MOVE_MSI_BANK";
    private static final String UNMAP = "UNMAP_MSI_BANK";

    @Override
    public String name() {
        return "bank";
    }

    @Override
    public List<String> operations() {
        return List.of(COUNT, MAP + " index iova", MOVE + " index iova", UNMAP + " iova");
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        return new Banks(environment).anywhere("the user maps each of %d banks into a window", 1, 1);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, environment, new Banks(environment));
    }

    private record Session(BankStrategy strategy, MsiEnvironment environment, Banks banks) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            return banks.mapped(MAP);
        }

        @Override
        public long enable(int bank) {
            return banks.mapped(bank, MAP + " " + bank + " iova");
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
                case COUNT -> {
                    Banks.arity(operation, arguments, 0);
                    return environment.banks().size();
                }
                case MAP -> {
                    Banks.arity(operation, arguments, 2);
                    banks.map(arguments[0], arguments[1]);
                }
                case MOVE -> {
                    Banks.arity(operation, arguments, 2);
                    banks.move(arguments[0], arguments[1]);
                }
                case UNMAP -> {
                    Banks.arity(operation, arguments, 1);
                    banks.unmap(arguments[0]);
                }
                default -> throw Banks.unknown(strategy, operation);
            }
            return 0;
        }

        @Override
        public void close() {
            banks.removeAll();
        }
    }
}
