// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.ReservedRegion;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code auto}: places bank n on demand at {@code base + n * stride}. {@code manual}: the user does, by MAP, MOVE and
 * UNMAP.
 */
class FakeStrategy implements MsiStrategy {
    final Trip trip;
    boolean feasible = true;
    boolean mad;
    /** Whether a bank stays where it is once its last vector is gone. */
    boolean leaves;
    /** Whether placements of its own are taken over when it is back, and those of others. */
    boolean resumes = true;
    boolean adopts;
    /** Happens at the end of a session. */
    Runnable closing = () -> {
    };
    int enabled;
    /** What its session keeps from the user. */
    List<ReservedRegion> keeps = List.of();
    /** Of the latest session. */
    MsiEnvironment environment;
    private final boolean auto;
    private final long base;
    private final long stride;

    FakeStrategy(Trip trip, boolean auto, long base, long stride) {
        this.trip = trip;
        this.auto = auto;
        this.base = base;
        this.stride = stride;
    }

    @Override
    public String name() {
        return auto ? "auto" : "manual";
    }

    @Override
    public List<String> operations() {
        return List.of("MAP bank iova", "MOVE bank iova", "UNMAP iova");
    }

    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        if (mad) {
            throw new IllegalStateException("mad strategy");
        }
        return feasible ? new MsiAssessment(true, "would do", 1, 0) : MsiAssessment.refused("not today");
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        trip.step("bind");
        this.environment = environment;
        return new MsiSession() {
            @Override
            public List<Integer> reachable() {
                List<Integer> banks = auto ? environment.banks().stream().map(MsiEnvironment.Bank::index).toList()
                    : environment.placements().stream().map(MsiPlacement::bank).toList();
                if (banks.isEmpty()) {
                    throw new ErrnoException(Errno.ENODEV, "no bank is mapped; call MAP first");
                }
                return banks;
            }

            @Override
            public long enable(int bank) {
                trip.step("enable");
                if (placed(bank) < 0) {
                    environment.place(bank, base + bank * stride);
                }
                enabled++;
                return placed(bank);
            }

            private long placed(int bank) {
                return environment.placements().stream().filter(one -> one.bank() == bank).mapToLong(MsiPlacement::iova)
                    .findFirst().orElse(-1);
            }

            @Override
            public void disable(int bank) {
                enabled--;
                if (auto && !leaves
                    && environment.banks().stream().noneMatch(one -> one.index() == bank && one.vectorsInUse() > 0)) {
                    environment.remove(placed(bank));
                }
            }

            @Override
            public boolean adopt(List<MsiPlacement> placements) {
                trip.step("adopt");
                return adopts;
            }

            @Override
            public boolean resume(List<MsiPlacement> placements) {
                trip.step("resume");
                return resumes;
            }

            @Override
            public void mapping(long iova, long length) {
                if (auto && Long.compareUnsigned(iova, base + stride) < 0
                    && Long.compareUnsigned(iova + length - 1, base) >= 0) {
                    throw new ErrnoException(Errno.EINVAL, "iova 0x%x is where bank 0 will be", iova);
                }
            }

            @Override
            public List<ReservedRegion> reserved() {
                return keeps;
            }

            @Override
            public long call(String operation, long... arguments) {
                switch (operation) {
                    case "MAP" -> environment.place((int) arguments[0], arguments[1]);
                    case "MOVE" -> {
                        environment.move((int) arguments[0], arguments[1]);
                        trip.step("moved");
                    }
                    case "UNMAP" -> environment.remove(arguments[0]);
                    default -> throw new ErrnoException(Errno.ENOTTY, "no operation %s", operation);
                }
                return 7;
            }

            @Override
            public void close() {
                // Leaves its banks placed: the container takes them away.
                trip.step("session close");
                closing.run();
            }
        };
    }
}
