// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import java.util.ArrayList;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.container.host.Cleanup;

/**
 * Moves a container to another MSI strategy under vectors that are enabled. Devices keep their vectors. If the newcomer
 * does not take over the banks where they are, the order is: old windows closed, all banks placed in the ledger, all
 * devices given their new messages, new windows opened. So an old message never rings a bank in its new window; it is
 * refused, and remembered. Guarded by the container's lock.
 */
final class MsiMove {
    private final MsiWindows.Parts here;
    private final MsiStrategy target;
    private final List<MsiPlacement> before;
    private final List<MsiRoutes.Address> addresses;
    private final MsiWindows windows;
    private final MsiSession session;
    private final List<Integer> enabled = new ArrayList<>();

    MsiMove(MsiWindows.Parts here, MsiStrategy target) {
        this.here = here;
        this.target = target;
        this.before = here.ledger().placements();
        this.addresses = here.routes().addresses();
        this.windows = new MsiWindows(here);
        this.session = target.bind(windows);
    }

    /**
     * Goes there; what devices send is held back afterwards, until {@link Traffic#resume}.
     *
     * @return the strategy at work now; the caller ends the one before
     * @throws RuntimeException what the strategy throws, and EBUSY if vectors are enabled; all is as it was before then
     */
    BoundStrategy go() {
        try {
            boolean adopted = !before.isEmpty() && session.adopt(before);
            if (!adopted) {
                here.traffic().shut();
                before.forEach(placement -> windows.remove(placement.iova()));
                if (!addresses.isEmpty()) {
                    // What the user has to do first, this says best.
                    session.reachable();
                }
                windows.staged(true);
            }
            here.routes().moveTo(session, enabled);
            if (!adopted) {
                windows.staged(false);
                here.translation().restorePlacements();
            }
            return new BoundStrategy(target, session, windows);
        } catch (RuntimeException e) {
            undo(e);
            throw addresses.isEmpty() ? e : new ErrnoException(Errno.EBUSY, e, "container %s has %d vectors enabled, "
                + "and MSI strategy %s cannot make their banks reachable: %s. Make room, or disable them before the "
                + "strategy changes", here.name(), addresses.size(), target.name(), e.getMessage());
        }
    }

    private void undo(RuntimeException why) {
        Cleanup steps = new Cleanup();
        here.ledger().placements().stream().filter(placement -> !before.contains(placement))
            .forEach(placement -> steps.take(() -> here.translation().displace(placement)));
        windows.retire(true);
        enabled.forEach(bank -> steps.take(() -> session.disable(bank)));
        steps.take(session::close);
        steps.take(() -> here.routes().moveBack(addresses));
        before.forEach(here.ledger()::place);
        steps.take(here.translation()::restorePlacements);
        steps.take(here.traffic()::resume);
        try {
            steps.end();
        } catch (RuntimeException again) {
            why.addSuppressed(again);
        }
    }
}
