// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.config.ConfigurationReader;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Modified;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;
import vfio.api.Mapping;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code window}, Linux's present way where doorbells are translated (IOMMU_RESV_SW_MSI): a range of device addresses
 * is kept for banks, and each is placed there when it is first needed. The user keeps out of the range: mapping memory
 * there is EINVAL.
 *
 * <p>A bank, once placed, stays while the session lives. A bank that comes later is placed like any other, as long as
 * the range has room: ENOSPC then. The range does not grow; it is fixed by the geometry, the windows and the banks that
 * there are when the session first needs it.
 */
@Component(name = "vfio.msi.window", property = {"msi.strategy=window", "service.ranking:Integer=-10"})
@Designate(ocd = WindowStrategy.Config.class)
public final class WindowStrategy implements MsiStrategy {
    /**
     * Linux, ARM SMMU drivers: MSI_IOVA_BASE and MSI_IOVA_LENGTH. Below 4 GiB, for functions with 32-bit message
     * addresses.
     */
    private static final Banks.Range PAGED = new Banks.Range(0x0800_0000L, 0x080f_ffffL);
    /** Of a windowed aperture one part in so many. */
    private static final int SHARE = 8;

    /** The configuration {@code vfio.msi.window}. It is for sessions that begin from now on. */
    @ObjectClassDefinition(name = "MSI strategy window", description = "Which device addresses the strategy keeps "
        + "for MSI banks")
    public @interface Config {
        /** {@code start}: first device address of the range, a multiple of 4 KiB; without a length it means nothing. */
        @AttributeDefinition(name = "Start", description = "first device address of the range, a multiple of 4096; "
            + "counts only with a length; for new sessions")
        long start() default 0;

        /**
         * {@code length}: bytes of the range, a multiple of 4 KiB; 0 for the default: 0x08000000+0x100000 where
         * translation is paged, else the top eighth of the aperture in whole windows, at least as many as there are
         * banks.
         */
        @AttributeDefinition(name = "Length", min = "0", description = "bytes of the range, a multiple of 4096; 0 for "
            + "the default range; for new sessions")
        long length() default 0;
    }

    /**
     * What is configured.
     *
     * @param length 0 for the default range
     */
    private record Wish(long start, long length) {
        private Wish {
            if (((start | length) & 0xfff) != 0 || length < 0
                || length > 0 && Long.compareUnsigned(start + length - 1, start) < 0) {
                throw new IllegalArgumentException(String.format(
                    "start 0x%x, length 0x%x must be multiples of 0x1000, and the range must not wrap around", start,
                    length));
            }
        }

        Banks.Range range() {
            return new Banks.Range(start, start + length - 1);
        }

        /** {@return the range; only if {@link Banks#ready}} */
        Banks.Range range(MsiEnvironment environment, Banks banks) {
            if (length > 0) {
                return range();
            }
            if (!environment.capabilities().windowed()) {
                return PAGED;
            }
            int windows = environment.windows();
            int count = Math.min(windows, Math.max((windows + SHARE - 1) / SHARE, environment.banks().size()));
            long end = environment.geometry().end();
            return new Banks.Range(end + 1 - count * banks.slot(), end);
        }
    }

    private final ConfigurationReader configuration;
    private volatile Wish wish;

    /** With the default range. */
    public WindowStrategy() {
        this(0, 0);
    }

    /**
     * Built by Declarative Services. What is not legal in the configuration is refused in one line, and its default
     * used.
     */
    @Activate
    public WindowStrategy(Map<String, Object> properties,
        @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        configuration = new ConfigurationReader("vfio.msi.window", Config.class, log::error);
        wish = configuration.read(properties, WindowStrategy::wish);
    }

    /**
     * Checks.
     *
     * @throws IllegalArgumentException for a start or length that is no multiple of 4 KiB, or a range that wraps around
     */
    WindowStrategy(long start, long length) {
        configuration = null;
        wish = new Wish(start, length);
    }

    /**
     * Another configuration: sessions that have begun keep theirs. What is not legal is refused, and what was there
     * before stays.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        wish = configuration.read(properties, WindowStrategy::wish);
    }

    private static Wish wish(ConfigurationReader.Values values) {
        return new Wish(values.number("start", start -> (start & 0xfff) == 0, "a multiple of 0x1000"),
            values.number("length", length -> length >= 0 && (length & 0xfff) == 0, "a multiple of 0x1000 from 0 on"));
    }

    @Override
    public String name() {
        return "window";
    }

    @Override
    public List<String> operations() {
        return List.of();
    }

    /**
     * {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows and the range is none the
     * hardware lacks.
     */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        Banks banks = new Banks(environment);
        Wish now = wish;
        int count = environment.banks().size();
        String obstacle = banks.obstacle();
        if (!obstacle.isEmpty()) {
            return MsiAssessment.refused(obstacle);
        }
        if (!banks.ready()) {
            IommuCapabilities can = environment.capabilities();
            return now.length > 0 && (Long.compareUnsigned(now.start, can.apertureStart()) < 0
                    || Long.compareUnsigned(now.start + now.length - 1, can.apertureEnd()) > 0)
                ? MsiAssessment.refused(String.format("the hardware cannot translate all of %s", now.range()))
                : banks.promise(String.format("once there are windows, each of %d banks is placed in %s", count,
                    now.length > 0 ? now.range() : "the last of them"),
                    now.length > 0 ? (int) Math.min(count, now.length / can.smallestPage()) : count, 0);
        }
        Banks.Range range = now.range(environment, banks);
        for (Mapping mapping : environment.mappings()) {
            if (range.touches(mapping.iova(), mapping.length())) {
                return MsiAssessment.refused(String.format("memory is mapped at iova 0x%x+0x%x, inside %s; unmap it",
                    mapping.iova(), mapping.length(), range));
            }
        }
        int room = banks.withoutMemory(range, count).size();
        if (room == 0) {
            return MsiAssessment
                .refused(String.format("no 0x%x bytes of %s are inside the aperture %s and outside of reserved ranges",
                banks.slot(), range, banks.aperture()));
        }
        if (fills(range, environment, banks)) {
            return MsiAssessment.refused(
                String.format("%s touches all there is of the aperture %s and leaves nothing for memory", range,
                banks.aperture()));
        }
        return banks.promise(String.format("each of %d banks is placed in %s as soon as it is needed", count, range),
            room, 0);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, environment);
    }

    /** Whether every window has some of the range; of a paged aperture, whether the range holds it all. */
    private static boolean fills(Banks.Range range, MsiEnvironment environment, Banks banks) {
        Banks.Range aperture = banks.aperture();
        if (!environment.capabilities().windowed()) {
            return Long.compareUnsigned(range.start(), aperture.start()) <= 0
                && Long.compareUnsigned(range.end(), aperture.end()) >= 0;
        }
        long window = banks.slot();
        return IntStream.range(0, environment.windows())
            .allMatch(i -> range.touches(aperture.start() + i * window, window));
    }

    private static final class Session implements MsiSession {
        private final WindowStrategy strategy;
        private final Wish wish;
        private final MsiEnvironment environment;
        private final Banks banks;
        /**
         * The range, and what it was made for: a new geometry, which can be set while nothing is mapped, makes a new
         * one.
         */
        private Banks.Range range;
        private Geometry geometry;
        private int windows;

        private Session(WindowStrategy strategy, MsiEnvironment environment) {
            this.strategy = strategy;
            this.wish = strategy.wish;
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

        /** {@inheritDoc} If all are inside the range, which another configuration may have moved meanwhile. */
        @Override
        public boolean resume(List<MsiPlacement> placements) {
            return banks.ready()
                && placements.stream().allMatch(placement -> range().holds(placement.iova(), placement.length()));
        }

        @Override
        public void disable(int bank) {
            // Once placed it stays, as in Linux.
        }

        @Override
        public void mapping(long iova, long length) {
            if (banks.ready() && range().touches(iova, length)) {
                throw new ErrnoException(Errno.EINVAL,
                    "iova 0x%x+0x%x touches %s, kept for MSI banks; map outside, or configure "
                    + "vfio.msi.window", iova, length, range());
            }
        }

        @Override
        public List<ReservedRegion> reserved() {
            return banks.ready()
                ? List.of(new ReservedRegion(range().start(), range().end(), ReservedRegion.Kind.SOFTWARE_MSI))
                : List.of();
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
                range = wish.range(environment, banks);
                geometry = environment.geometry();
                windows = environment.windows();
            }
            return range;
        }

        private long next(int bank) {
            List<Long> free = banks.free(range(), 1);
            if (free.isEmpty()) {
                throw new ErrnoException(Errno.ENOSPC,
                    "%s has no room for MSI bank %d beside banks %s; configure vfio.msi.window", range(),
                    bank, environment.placements().stream().map(MsiPlacement::bank).toList());
            }
            return free.get(0);
        }
    }
}
