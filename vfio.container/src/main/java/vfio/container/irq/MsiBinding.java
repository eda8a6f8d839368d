// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.container.dma.IovaRanges;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.Host;
import vfio.container.host.RankedStrategy;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;
import vfio.container.state.Quiescence;

/**
 * The choice of a container's MSI strategy: by rank and by the user's preference, replaced when it leaves, restored
 * when it returns (decision 23). Guarded by the container's lock.
 */
public final class MsiBinding implements MsiRoutes.Sessions {
    /** Is told that a strategy has been put in the place of another. */
    @FunctionalInterface
    public interface Moves {
        /** @param from the one before; empty if there was none */
        void moved(String from, String to);
    }

    /**
     * A strategy that has left and is expected back.
     *
     * @param placements what was taken away for the sake of the one that stands in for it; null if what it has placed
     *     is where it was
     */
    private record Away(String strategy, List<MsiPlacement> placements) {
        boolean elsewhere() {
            return placements != null;
        }
    }

    private final Host host;
    private final String name;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final Translation translation;
    private final Quiescence gate;
    private final MsiRoutes routes;
    private final Traffic traffic;
    private final MsiWindows.Parts parts;
    private final Moves moves;
    /** Null while no strategy is at work. */
    private BoundStrategy bound;
    private String preferred = "";
    /** The strategy that has left and is expected back; null if none is. */
    private Away away;
    /** The previous strategy, for reports. */
    private String left = "";

    /** @param name the container's, for messages */
    public MsiBinding(Host host, String name, ContainerStatus status, Ledger ledger, Translation translation,
            MsiBanks banks, SharedBanks shared, Quiescence gate, Moves moves) {
        this.host = host;
        this.name = name;
        this.status = status;
        this.ledger = ledger;
        this.translation = translation;
        this.gate = gate;
        this.moves = moves;
        this.routes = new MsiRoutes(host, ledger, translation, banks, gate, shared, this);
        this.traffic = new Traffic(routes, gate, translation, status);
        this.parts = new MsiWindows.Parts(name, host, status, ledger, translation, banks, routes, traffic);
    }

    /** {@return the container's vectors} */
    public MsiRoutes routes() {
        return routes;
    }

    /** {@return what stops the container's devices, and lets them go on} */
    public Traffic traffic() {
        return traffic;
    }

    // For the container's user.

    /** {@return the strategy at work; null while there is none} */
    public MsiStrategy strategy() {
        return bound == null ? null : bound.strategy();
    }

    /** {@return the name of the strategy at work; empty while there is none} */
    public String strategyName() {
        return bound == null ? "" : bound.strategy().name();
    }

    /** {@return what the session keeps from the user} */
    public List<ReservedRegion> kept() {
        return bound == null ? List.of() : bound.session().reserved();
    }

    /** The user is about to map; the session may object, or make room. */
    public void announce(long iova, long length) {
        if (bound != null) {
            bound.session().mapping(iova, length);
            IovaRanges.checkInside(iova, length, translation.space().mappable(kept()));
        }
    }

    /** An operation of the strategy's own. */
    public long operate(String operation, long... arguments) {
        resolveAgain();
        long result = session().call(operation, arguments);
        // Whose orders the user gives is the user's choice: nobody else is expected any more.
        away = null;
        traffic.resume();
        return result;
    }

    /**
     * The user wants that strategy, or, by an empty name, the best.
     *
     * @throws ErrnoException ENOENT if there is none of that name; EAGAIN while the container is not ACTIVE; EINVAL if
     *     it does not work here; EBUSY if it cannot take over vectors that are enabled
     */
    public void prefer(String wanted) {
        List<MsiStrategy> strategies = strategies();
        if (!wanted.isEmpty() && strategies.stream().noneMatch(candidate -> candidate.name().equals(wanted))) {
            throw new ErrnoException(Errno.ENOENT, "there is no MSI strategy %s; there are %s", wanted,
                strategies.stream().map(MsiStrategy::name).toList());
        }
        if (status.type() == null) {
            preferred = wanted;
            return;
        }
        status.requireActive();
        Optional<MsiStrategy> next = feasible(strategies, wanted);
        if (next.isPresent() && next.get() != strategy()) {
            move(next.get());
        } else {
            away = null;
            traffic.resume();
        }
        preferred = wanted;
    }

    private Optional<MsiStrategy> feasible(List<MsiStrategy> strategies, String wanted) {
        for (MsiStrategy candidate : strategies) {
            if (wanted.isEmpty() || candidate.name().equals(wanted)) {
                MsiAssessment assessment = assess(candidate);
                if (assessment.feasible()) {
                    return Optional.of(candidate);
                }
                if (!wanted.isEmpty()) {
                    throw new ErrnoException(Errno.EINVAL, "MSI strategy %s does not work here: %s", wanted,
                        assessment.reason());
                }
            }
        }
        return Optional.empty();
    }

    /** {@return who is considered, in that order, and what each says} */
    public List<MsiChoice> explain() {
        return host.strategies().stream().map(ranked -> new MsiChoice(ranked.strategy().name(), ranked.ranking(),
            assess(ranked.strategy()), ranked.strategy() == strategy(),
            ranked.strategy().name().equals(preferred))).toList();
    }

    /** Gives a device its interrupt. While others wait, messages are held back, which its own must not be. */
    public Route enable(MsiSender device, Relay relay) {
        resolveAgain();
        Route route = routes.enable(device, relay);
        if (gate.holds()) {
            traffic.resume();
        }
        return route;
    }

    /** Takes an interrupt away; if it was the last that waited, its device is not held back any more. */
    public void disable(Route route) {
        Cleanup steps = new Cleanup();
        steps.take(() -> routes.disable(route));
        steps.take(traffic::resume);
        steps.end();
    }

    // For the routes.

    @Override
    public boolean bound() {
        return bound != null;
    }

    @Override
    public MsiSession session() {
        if (bound == null) {
            throw new ErrnoException(Errno.ENOTTY, "container %s has no MSI strategy: %s", name, refusals());
        }
        return bound.session();
    }

    private String refusals() {
        List<String> refusals = strategies().stream()
            .map(candidate -> candidate.name() + ": " + assess(candidate).reason()).toList();
        return refusals.isEmpty() ? "no bundle provides one" : String.join("; ", refusals);
    }

    // Who is chosen.

    private List<MsiStrategy> strategies() {
        return host.strategies().stream().map(RankedStrategy::strategy).toList();
    }

    /** A strategy that cannot even say whether it works does not. */
    private MsiAssessment assess(MsiStrategy candidate) {
        try {
            return candidate.assess(new MsiWindows(parts));
        } catch (Throwable e) {
            return MsiAssessment.refused("it failed: " + e);
        }
    }

    /**
     * Chooses a strategy: the one that is expected back if it is there, else the preferred one if there is a
     * preference, else the best ranked of those that work here.
     */
    public void resolve() {
        List<MsiStrategy> candidates = new ArrayList<>(strategies());
        candidates.sort(Comparator.comparing(candidate -> !expected(candidate)));
        for (MsiStrategy candidate : candidates) {
            if ((preferred.isEmpty() || preferred.equals(candidate.name())) && assess(candidate).feasible()) {
                bind(candidate);
                return;
            }
        }
    }

    private boolean expected(MsiStrategy candidate) {
        return away != null && away.strategy.equals(candidate.name());
    }

    /** With no session: binds one, which takes over what is placed, or it is taken away. */
    private void bind(MsiStrategy candidate) {
        boolean back = expected(candidate);
        if (back && away.elsewhere()) {
            away.placements.stream().filter(this::fits).forEach(ledger::place);
            away = new Away(candidate.name(), null);
        }
        MsiWindows windows = new MsiWindows(parts);
        MsiSession next = candidate.bind(windows);
        List<MsiPlacement> there = ledger.placements();
        if (!there.isEmpty() && !(back ? next.resume(there) : next.adopt(there))) {
            if (!back && away != null && !away.elsewhere()) {
                away = new Away(away.strategy, there);
            }
            there.forEach(placement -> windows.remove(placement.iova()));
        }
        bound = new BoundStrategy(candidate, next, windows);
        if (back) {
            away = null;
        }
    }

    /**
     * Whether a bank can still be where it was: nothing has been mapped there, and nobody keeps the bank from this
     * container.
     */
    private boolean fits(MsiPlacement placement) {
        return ledger.first(placement.iova(), placement.iova() + placement.length() - 1) == null
            && !routes.choice().forbidden(placement.bank())
            && IovaRanges.inside(placement.iova(), placement.length(), translation.space().valid());
    }

    /**
     * With a strategy at work that stands in for one that has come back, lets that one return; with none, chooses one.
     */
    public void resolveOrReturn() {
        if (bound != null && away != null && strategies().stream().anyMatch(one -> expected(one)
            && assess(one).feasible())) {
            left = strategyName();
            Cleanup steps = new Cleanup();
            steps.take(this::part);
            steps.take(this::resolve);
            steps.end();
        } else if (bound == null) {
            resolve();
        }
    }

    /** Another kind of IOMMU may ask for another strategy. */
    public void resolveOnOther() {
        if (bound != null && !assess(bound.strategy()).feasible()) {
            Cleanup steps = new Cleanup();
            steps.take(routes::strategyGone);
            steps.take(this::unbind);
            steps.end();
        }
        if (bound == null) {
            resolve();
        }
    }

    /**
     * What stood in the way of every strategy may have gone. The operation that did it has succeeded, whatever comes of
     * this.
     */
    public void resolveAgain() {
        if (bound == null || away != null) {
            try {
                BoundStrategy before = bound;
                resolveOrReturn();
                if (bound != before) {
                    traffic.resume();
                }
            } catch (Throwable e) {
                status.reason("no MSI strategy: " + e.getMessage());
            }
        }
    }

    private void move(MsiStrategy target) {
        BoundStrategy old = bound;
        bound = new MsiMove(parts, target).go();
        if (old != null) {
            old.windows().retire(true);
        }
        away = null;
        traffic.resume();
        moves.moved(old == null ? "" : old.strategy().name(), target.name());
        if (old != null) {
            Cleanup steps = new Cleanup();
            steps.take(() -> routes.moved(old.session()));
            steps.take(old.session()::close);
            try {
                steps.end();
            } catch (RuntimeException e) {
                // The move is done all the same.
                status.reason("MSI strategy " + old.strategy().name() + " did not end well: " + e.getMessage());
            }
        }
    }

    // Who goes.

    /** {@return the strategy that has left last, for reports; empty if none has} */
    public String left() {
        return left;
    }

    /** That strategy has left, for reports. */
    public void left(String strategy) {
        left = strategy;
    }

    /**
     * The strategy at work goes. Is something placed, it is expected back, and that stays where it is. A stand-in is
     * not expected: what it has placed for itself goes with it.
     */
    public void part() {
        Cleanup steps = new Cleanup();
        if (routes.enabled()) {
            traffic.shut();
            if (!host.served()) {
                routes.assumeMissed();
            }
        }
        steps.take(routes::strategyGone);
        if (away == null && !ledger.placements().isEmpty()) {
            away = new Away(strategyName(), null);
        }
        bound.windows().retire(away != null && !away.elsewhere());
        steps.take(this::unbind);
        steps.end();
    }

    /**
     * Takes the strategy's session away, and whatever that leaves placed, unless what is placed is not its own any
     * more.
     */
    private void unbind() {
        if (bound != null) {
            BoundStrategy old = bound;
            bound = null;
            Cleanup steps = new Cleanup();
            steps.take(old.session()::close);
            if (!old.windows().retired()) {
                MsiWindows last = new MsiWindows(parts);
                ledger.placements().forEach(placement -> steps.take(() -> last.remove(placement.iova())));
            }
            steps.end();
        }
    }

    /** The container is given up: no session is left, and nobody is expected back. */
    public void unset() {
        try {
            unbind();
        } finally {
            away = null;
        }
    }
}
