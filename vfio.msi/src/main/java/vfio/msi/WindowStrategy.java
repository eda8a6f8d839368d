// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.List;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import vfio.api.Mapping;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiEnvironment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiSession;
import vfio.api.msi.MsiStrategy;

/**
 * {@code window}, what became of it all in Linux where doorbells are translated (IOMMU_RESV_SW_MSI): a range of device addresses is kept
 * for banks, and each is placed there when it is first needed. The user keeps out of the range: mapping memory there is EINVAL.
 *
 * <p>A bank, once placed, stays while the session lives. A bank that comes later is placed like any other, as long as the range has room:
 * ENOSPC then. The range does not grow; it is fixed by the geometry, the windows and the banks that there are when the session
 * first needs it.
 */
@Component(name = "vfio.msi.window", property = {"msi.strategy=window", "service.ranking:Integer=-10"})
public final class WindowStrategy implements MsiStrategy {
    /** Linux, ARM SMMU drivers: MSI_IOVA_BASE and MSI_IOVA_LENGTH. Below 4 GiB, for functions with 32-bit message addresses. */
    private static final Banks.Range PAGED = new Banks.Range(0x0800_0000L, 0x080f_ffffL);
    /** Of a windowed aperture one part in so many. */
    private static final int SHARE = 8;

    /** The configuration, PID {@code vfio.msi.window}. */
    public @interface Config {
        /** {@code start}: first device address of the range, a multiple of 4 KiB; without a length it means nothing. */
        long start() default 0;

        /**
         * {@code length}: bytes of the range, a multiple of 4 KiB; 0 for the default: 0x08000000+0x100000 where translation is
         * paged, else the top eighth of the aperture in whole windows, at least as many as there are banks.
         */
        long length() default 0;
    }

    /** 0 for the default range. */
    private final long length;
    private final long start;

    /**
     * Checks.
     *
     * @throws IllegalArgumentException for a start or length that is no multiple of 4 KiB, or a range that wraps around
     */
    @Activate
    public WindowStrategy(Config config) {
        this(config.start(), config.length());
    }

    WindowStrategy(long start, long length) {
        if (((start | length) & 0xfff) != 0 || length < 0 || length > 0 && Long.compareUnsigned(start + length - 1, start) < 0) {
            throw new IllegalArgumentException(String.format(
                "vfio.msi.window: start 0x%x, length 0x%x must be multiples of 0x1000, and the range must not wrap around", start, length));
        }
        this.start = start;
        this.length = length;
    }

    @Override
    public String name() {
        return "window";
    }

    @Override
    public List<String> operations() {
        return List.of();
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows and the range is none the hardware lacks. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        Banks banks = new Banks(environment);
        int count = environment.banks().size();
        String obstacle = banks.obstacle();
        if (!obstacle.isEmpty()) {
            return MsiAssessment.refused(obstacle);
        }
        if (!banks.ready()) {
            IommuCapabilities can = environment.capabilities();
            return length > 0 && (Long.compareUnsigned(start, can.apertureStart()) < 0
                    || Long.compareUnsigned(start + length - 1, can.apertureEnd()) > 0)
                ? MsiAssessment.refused(String.format("the hardware cannot translate all of %s", configured()))
                : banks.promise(String.format("once there are windows, each of %d banks is placed in %s", count,
                    length > 0 ? configured() : "the last of them"),
                    length > 0 ? (int) Math.min(count, length / can.smallestPage()) : count, 0);
        }
        Banks.Range range = range(environment, banks);
        for (Mapping mapping : environment.mappings()) {
            if (range.touches(mapping.iova(), mapping.length())) {
                return MsiAssessment.refused(String.format("memory is mapped at iova 0x%x+0x%x, inside %s; unmap it",
                    mapping.iova(), mapping.length(), range));
            }
        }
        int room = banks.withoutMemory(range, count).size();
        if (room == 0) {
            return MsiAssessment.refused(String.format("no 0x%x bytes of %s are inside the aperture %s and outside of reserved ranges",
                banks.slot(), range, banks.aperture()));
        }
        if (fills(range, environment, banks)) {
            return MsiAssessment.refused(String.format("%s touches all there is of the aperture %s and leaves nothing for memory", range,
                banks.aperture()));
        }
        return banks.promise(String.format("each of %d banks is placed in %s as soon as it is needed", count, range), room, 0);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, environment);
    }

    private Banks.Range configured() {
        return new Banks.Range(start, start + length - 1);
    }

    /** {@return the range; only if {@link Banks#ready}} */
    private Banks.Range range(MsiEnvironment environment, Banks banks) {
        if (length > 0) {
            return configured();
        }
        if (!environment.capabilities().windowed()) {
            return PAGED;
        }
        int windows = environment.windows();
        int count = Math.min(windows, Math.max((windows + SHARE - 1) / SHARE, environment.banks().size()));
        long end = environment.geometry().end();
        return new Banks.Range(end + 1 - count * banks.slot(), end);
    }

    /** Whether every window has some of the range; of a paged aperture, whether the range holds it all. */
    private static boolean fills(Banks.Range range, MsiEnvironment environment, Banks banks) {
        Banks.Range aperture = banks.aperture();
        if (!environment.capabilities().windowed()) {
            return Long.compareUnsigned(range.start(), aperture.start()) <= 0 && Long.compareUnsigned(range.end(), aperture.end()) >= 0;
        }
        long window = banks.slot();
        return IntStream.range(0, environment.windows()).allMatch(i -> range.touches(aperture.start() + i * window, window));
    }

    private static final class Session implements MsiSession {
        private final WindowStrategy strategy;
        private final MsiEnvironment environment;
        private final Banks banks;
        /** The range, and what it was made for: a new geometry, which can be set while nothing is mapped, makes a new one. */
        private Banks.Range range;
        private Geometry geometry;
        private int windows;

        private Session(WindowStrategy strategy, MsiEnvironment environment) {
            this.strategy = strategy;
            this.environment = environment;
            this.banks = new Banks(environment);
            if (banks.ready()) {
                range();
            }
        }

        @Override
        public List<Integer> reachable() {
            return banks.onDemand(bank -> !banks.free(range(), 1).isEmpty());
        }

        @Override
        public long enable(int bank) {
            return banks.place(bank, this::next);
        }

        @Override
        public void disable(int bank) {
            // Once placed it stays, as in Linux.
        }

        @Override
        public void mapping(long iova, long length) {
            if (banks.ready() && range().touches(iova, length)) {
                throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x touches %s, kept for MSI banks; map outside, or configure "
                    + "vfio.msi.window", iova, length, range());
            }
        }

        @Override
        public List<ReservedRegion> reserved() {
            return banks.ready()
                ? List.of(new ReservedRegion(range().start(), range().end(), ReservedRegion.Kind.SOFTWARE_MSI)) : List.of();
        }

        @Override
        public long call(String operation, long... arguments) {
            throw Banks.unknown(strategy, operation);
        }

        @Override
        public void close() {
            banks.removeAll();
        }

        private Banks.Range range() {
            if (range == null || windows != environment.windows() || !environment.geometry().equals(geometry)) {
                range = strategy.range(environment, banks);
                geometry = environment.geometry();
                windows = environment.windows();
            }
            return range;
        }

        private long next(int bank) {
            List<Long> free = banks.free(range(), 1);
            if (free.isEmpty()) {
                throw new ErrnoException(Errno.ENOSPC, "%s has no room for MSI bank %d beside banks %s; configure vfio.msi.window", range(),
                    bank, environment.placements().stream().map(MsiPlacement::bank).toList());
            }
            return free.get(0);
        }
    }
}
