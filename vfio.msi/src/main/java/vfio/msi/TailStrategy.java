// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.Geometry;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code tail}, option A of <em>RFC: vfio API changes needed for powerpc</em>: the user sets a geometry with spare
 * windows, and VFIO takes the last ones silently. Bank <i>n</i> has the window with index {@code windows - 1 - n},
 * whichever banks there are besides: where it is can be known before, and does not change. It is placed there while
 * vectors of it are enabled.
 *
 * <p>The windows of banks 0 to the highest known are kept free: mapping memory there is EINVAL. A bank that comes later
 * gets its window on demand as well, and it is kept from then on; if memory lies there already, the bank is refused
 * with ENOSPC.
 */
@Component(property = {"msi.strategy=tail", "service.ranking:Integer=-30"})
public final class TailStrategy implements MsiStrategy {
    @Override
    public String name() {
        return "tail";
    }

    @Override
    public List<String> operations() {
        return List.of();
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        Banks banks = new Banks(environment);
        if (!environment.capabilities().windowed()) {
            return MsiAssessment.refused("translation is paged here: there are no last windows");
        }
        String obstacle = banks.obstacle();
        if (!obstacle.isEmpty()) {
            return MsiAssessment.refused(obstacle);
        }
        int span = banks.span();
        int windows = banks.ready() ? environment.windows() : environment.capabilities().maxWindows();
        if (windows <= span) {
            return MsiAssessment.refused(
                String.format("%d windows leave none for memory beside the last %d, one for each bank up to %d",
                windows, span, span - 1));
        }
        int room = environment.banks().size();
        if (banks.ready()) {
            room = (int) banks.indexes().stream()
                .filter(bank -> !banks.withoutMemory(window(environment, banks, bank), 1).isEmpty()).count();
            if (room == 0) {
                return MsiAssessment.refused(String.format(
                    "memory or a reserved range is in each bank's window among the last %d; unmap it", span));
            }
        }
        return banks.promise(String.format("the last %d windows are for banks %s", span, banks.indexes()), room, 0);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, environment);
    }

    /** {@return the window of a bank with an index below the number of windows} */
    private static Banks.Range window(MsiEnvironment environment, Banks banks, int bank) {
        long start = environment.geometry().start() + (environment.windows() - 1 - bank) * banks.slot();
        return new Banks.Range(start, start + banks.slot() - 1);
    }

    private static final class Session implements MsiSession {
        private final TailStrategy strategy;
        private final MsiEnvironment environment;
        private final Banks banks;
        /** The number of windows kept: one per bank ever seen, since a bank may be away for the moment. */
        private int kept;

        private Session(TailStrategy strategy, MsiEnvironment environment) {
            this.strategy = strategy;
            this.environment = environment;
            this.banks = new Banks(environment);
            this.kept = banks.span();
        }

        @Override
        public List<Integer> reachable() {
            return banks.onDemand(this::free);
        }

        @Override
        public long enable(int bank) {
            return banks.place(bank, this::home);
        }

        @Override
        public void disable(int bank) {
            banks.leave(bank);
        }

        @Override
        public void mapping(long iova, long length) {
            kept = Math.max(kept, banks.span());
            if (!banks.ready() || kept == 0) {
                return;
            }
            Geometry geometry = environment.geometry();
            int windows = environment.windows();
            int first = Math.max(0, windows - kept);
            Banks.Range tail = new Banks.Range(geometry.start() + first * banks.slot(), geometry.end());
            if (tail.touches(iova, length)) {
                throw new ErrnoException(Errno.EINVAL,
                    "iova 0x%x+0x%x touches windows %d..%d at %s, kept for MSI banks; map below them, or set more "
                        + "windows",
                    iova, length, first, windows - 1, tail);
            }
        }

        @Override
        public long call(String operation, long... arguments) {
            throw Banks.unknown(strategy, operation);
        }

        @Override
        public void close() {
            banks.removeAll();
        }

        private boolean free(int bank) {
            return bank < environment.windows() && !banks.free(window(environment, banks, bank), 1).isEmpty();
        }

        private long home(int bank) {
            int windows = environment.windows();
            if (bank >= windows) {
                throw new ErrnoException(Errno.ENOSPC,
                    "MSI bank %d has no window among the last of %d; set more windows", bank, windows);
            }
            Banks.Range window = window(environment, banks, bank);
            if (!free(bank)) {
                throw new ErrnoException(Errno.ENOSPC,
                    "window %d at %s is for MSI bank %d, but memory or a reserved range is there; unmap "
                    + "it", windows - 1 - bank, window, bank);
            }
            return window.start();
        }
    }
}
