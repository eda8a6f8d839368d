// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import java.util.Comparator;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.swap.Swap;
import vfio.container.dma.ProviderChoice;
import vfio.container.dma.RestorePlan;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.Host;
import vfio.container.host.IommuProvider;
import vfio.container.irq.MsiBinding;
import vfio.container.irq.Traffic;
import vfio.container.state.ContainerStatus;

/**
 * Replaces the active IOMMU provider: because the user asks for it, because another one has come, or because the tables
 * of this one are in doubt. The caller holds the container's lock and, but for {@link #giveUp} and {@link #letGo}, the
 * topology's.
 */
public final class HotSwap {
    private final ContainerParts parts;
    private final Host host;
    private final String name;
    private final ContainerStatus status;
    private final Translation translation;
    private final ProviderChoice providers;
    private final MsiBinding msi;
    private final Traffic traffic;
    private final SwapReports reports;

    public HotSwap(ContainerParts parts, SwapReports reports) {
        this.parts = parts;
        this.host = parts.host();
        this.name = parts.name();
        this.status = parts.status();
        this.translation = parts.translation();
        this.providers = parts.providers();
        this.msi = parts.msi();
        this.traffic = parts.msi().traffic();
        this.reports = reports;
    }

    /**
     * Moves the container to another provider of a type, or, if there is no other, has the present one build everything
     * anew.
     *
     * @return the report
     * @throws ErrnoException EAGAIN unless the container is ACTIVE; ENODEV, EINVAL or EPERM if what there is does not
     *     fit, with nothing touched; else what has failed: the container then works on as before, or is BLOCKED and
     *     says why
     */
    public Swap swap(String wanted) {
        status.requireActive();
        List<IommuProvider> candidates = providers.require(wanted);
        // The present one last: it builds everything anew if there is no other.
        candidates.sort(Comparator.comparing(one -> one.iommu() == translation.provider().iommu()));
        IommuProvider next = providers.serving(candidates);
        RestorePlan plan = translation.plan(wanted);
        host.calls().run(next.iommu(), "looking at what it can do", () -> plan.checkFits(next.iommu()));
        parts.banks().requireSafe(next.iommu().capabilities(), name);
        return swap(wanted, next);
    }

    private Swap swap(String wanted, IommuProvider next) {
        IommuProvider before = translation.provider();
        reports.iommuLeft(before.label());
        status.quiesce();
        traffic.shut();
        closeOld(before);
        status.restore();
        ErrnoException obstacle = translation.replayOn(next, wanted);
        if (obstacle != null) {
            throw rollBack(before, next, obstacle);
        }
        boolean other = !next.kind().equals(before.kind());
        status.type(wanted);
        if (!translation.rules().dirtyPages()) {
            parts.dirty().reset();
        }
        status.restored();
        Cleanup steps = new Cleanup();
        steps.take(other ? msi::resolveOnOther : msi::resolveOrReturn);
        traffic.resume();
        Swap report = reports.iommu(next.label(), "");
        steps.end();
        return report;
    }

    private void closeOld(IommuProvider before) {
        try {
            translation.close();
        } catch (RuntimeException e) {
            if (translation.hangs()) {
                // It may close the domain yet: what it translates is not known any more.
                translation.orphanOfSuspect();
                status.block(before.label() + " hangs while it closes its domain: " + e.getMessage());
                reports.iommu("", status.reason());
                throw e;
            }
            if (translation.intact()) {
                status.resume();
                traffic.resume();
                throw e;
            }
            // Against the contract it has changed something. If it still keeps devices from others, nobody can take
            // over.
            translation.orphan();
        }
    }

    /** {@return what to throw, with the container back where it was, or BLOCKED} */
    private ErrnoException rollBack(IommuProvider before, IommuProvider next, ErrnoException obstacle) {
        ErrnoException again = translation.replayOn(before, status.type());
        if (again == null) {
            status.restored();
            traffic.resume();
            reports.iommu(before.label(), obstacle.getMessage());
            return new ErrnoException(obstacle.errno(), obstacle, "container %s stays with %s; %s could not take "
                + "over: %s", name, before.label(), next.label(), obstacle.reason());
        }
        status.block("neither could " + next.label() + " take over: " + obstacle.getMessage() + ", nor "
            + before.label() + " go on: " + again.getMessage());
        reports.iommu("", status.reason());
        obstacle.addSuppressed(again);
        return new ErrnoException(obstacle.errno(), obstacle, "container %s is BLOCKED: %s", name, status.reason());
    }

    /**
     * Tries again what could not be done when something came: to restore the container, or to give its routes vectors.
     *
     * @throws ErrnoException ENODEV, or what is in the way, if it stays BLOCKED; EAGAIN if it works and something still
     *     waits
     */
    public void retry() {
        status.requireOpen();
        status.requireIommu();
        if (status.blocked()) {
            retryRestore();
        } else {
            msi.resolveOrReturn();
            traffic.resume();
        }
        if (!status.reason().isEmpty()) {
            throw new ErrnoException(Errno.EAGAIN, "container %s: %s", name, status.reason());
        }
        status.notReplaced("");
    }

    private void retryRestore() {
        List<IommuProvider> candidates = providers.find(status.type());
        if (candidates.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "container %s waits for an IOMMU of type %s, and there is none; "
                + "start a bundle that provides it", name, status.type());
        }
        ErrnoException obstacle = null;
        ErrnoException elsewhere = null;
        for (IommuProvider candidate : candidates) {
            ErrnoException unserved = providers.unserved(candidate);
            if (unserved != null) {
                elsewhere = unserved;
                continue;
            }
            obstacle = restoreOn(candidate);
            if (obstacle == null) {
                return;
            }
        }
        throw obstacle != null ? obstacle : elsewhere;
    }

    /** With the container BLOCKED. {@return what was in the way; null if it works again} */
    ErrnoException restoreOn(IommuProvider newcomer) {
        status.restore();
        ErrnoException obstacle = translation.replayOn(newcomer, status.type());
        if (obstacle != null) {
            status.block("the new " + newcomer.kind() + " could not take over: " + obstacle.getMessage());
            reports.iommu("", status.reason());
            return obstacle;
        }
        status.restored();
        Cleanup steps = new Cleanup();
        steps.take(msi::resolveOrReturn);
        traffic.resume();
        reports.iommu(newcomer.label(), "");
        reports.owed();
        steps.end();
        return null;
    }

    /** The domain's tables are in doubt: the ledger needs a new domain. */
    public void giveUp(String doubt) {
        traffic.shut();
        status.block("the tables are in doubt: " + doubt + letGo());
    }

    /** Closes the domain whatever comes of it. {@return what went wrong, for people; empty if nothing did} */
    String letGo() {
        status.quiesce();
        reports.iommuLeft(translation.provider().label());
        return translation.letGo();
    }

    /**
     * Blocks every device; if that fails nothing has changed, or the container is BLOCKED and the domain to be closed
     * once more.
     */
    public void closeDomain() {
        if (!translation.present()) {
            return;
        }
        String label = translation.provider().label();
        try {
            translation.close();
        } catch (RuntimeException e) {
            if (!translation.hangs() && !translation.intact()) {
                traffic.shut();
                translation.orphan();
                status.block("the domain of " + label + " did not close: " + e.getMessage());
            }
            throw e;
        }
    }
}
