// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import irq.api.InterruptController;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.LongStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.Host;
import vfio.container.state.Ledger;
import vfio.container.state.Quiescence;

/**
 * The MSI vectors of one container: where the two halves of a message meet. The host owns the vector, hence the data;
 * the owner of the bank's window owns the address. Guarded by the container's lock, but for {@link #choice} and {@link
 * #waiting}, which anybody may ask, and {@link #keep}, which devices call.
 */
public final class MsiRoutes {
    /** The session of the strategy at work. */
    interface Sessions {
        /** Whether there is one. */
        boolean bound();

        /** @throws ErrnoException ENOTTY if there is none, with what every strategy says of that */
        MsiSession session();
    }

    /** The message of a device. */
    record Address(Route route, long address) {
    }

    private static final int PAGE_BITS = 12;

    private final Host host;
    private final Ledger ledger;
    private final Translation translation;
    private final MsiBanks banks;
    private final Quiescence gate;
    private final Sessions sessions;
    private final VectorChoice choice;
    private final List<Route> routes = new CopyOnWriteArrayList<>();

    MsiRoutes(Host host, Ledger ledger, Translation translation, MsiBanks banks, Quiescence gate, SharedBanks shared,
            Sessions sessions) {
        this.host = host;
        this.ledger = ledger;
        this.translation = translation;
        this.banks = banks;
        this.gate = gate;
        this.sessions = sessions;
        this.choice = new VectorChoice(shared, bank -> routes.stream().anyMatch(route -> route.uses(bank)),
            ledger::places);
    }

    /** {@return which banks it takes its vectors of} */
    public VectorChoice choice() {
        return choice;
    }

    /** Whether some device has its MSI enabled. */
    public boolean enabled() {
        return !routes.isEmpty();
    }

    /** {@return the routes that are connected} */
    public List<MsiRoute> list() {
        return routes.stream().filter(Route::connected).map(Route::described).toList();
    }

    /** {@return the banks this container may use, with what it uses of each} */
    List<MsiEnvironment.Bank> banks() {
        InterruptController controller = host.controller();
        if (controller == null) {
            return List.of();
        }
        return controller.doorbells().banks().stream().filter(bank -> choice.uses(bank.index())
            || !choice.forbidden(bank.index()))
            .map(bank -> new MsiEnvironment.Bank(bank.index(), MsiBanks.reach(bank, translation.capabilities()),
                inUse(bank.index()))).toList();
    }

    private int inUse(int bank) {
        return (int) routes.stream().filter(route -> route.uses(bank)).count();
    }

    /**
     * Takes a vector for a device, has its bank made reachable, and programs the device with the message.
     *
     * @throws ErrnoException what the strategy says if no bank is reachable; ENOSPC if none has a free vector; ENODEV
     *     without an interrupt controller
     */
    Route enable(MsiSender device, Relay relay) {
        Route route = new Route(device, relay);
        routes.add(route);
        try {
            connect(route);
        } catch (RuntimeException e) {
            routes.remove(route);
            throw e;
        }
        return route;
    }

    /** Quietens the device, then gives the vector back. */
    void disable(Route route) {
        routes.remove(route);
        Cleanup steps = new Cleanup();
        steps.take(route.device::msiOff);
        steps.take(() -> release(route));
        steps.take(() -> leaveBank(route));
        steps.end();
    }

    /**
     * Something may be left in the controller that will not be served: one interrupt too many rather than one too few.
     */
    public void assumeMissed() {
        routes.stream().filter(Route::connected).forEach(Route::assumeMissed);
    }

    /** The controller is gone: the vectors go back, routes and windows stay. */
    public void controllerGone() {
        Cleanup steps = new Cleanup();
        routes.forEach(route -> steps.take(() -> release(route)));
        steps.end();
    }

    /** The strategy is gone, and with it the windows: the vectors go back, and what the devices send is kept. */
    void strategyGone() {
        Cleanup steps = new Cleanup();
        for (Route route : routes) {
            steps.take(() -> park(route));
            steps.take(() -> release(route));
            steps.take(() -> leaveBank(route));
        }
        steps.end();
    }

    /**
     * Gives vectors to what waits for one, as far as that is possible.
     *
     * @return what keeps the first route waiting that waits; empty if none does
     */
    public String connect() {
        String obstacle = "";
        for (Route route : routes) {
            if (!route.connected()) {
                try {
                    connect(route);
                } catch (RuntimeException e) {
                    if (host.controller() != null) {
                        try {
                            park(route);
                        } catch (RuntimeException again) {
                            e.addSuppressed(again);
                        }
                    }
                    obstacle = obstacle.isEmpty() ? "the MSI of device " + route.device.name() + " waits: "
                        + e.getMessage() : obstacle;
                }
            }
        }
        return obstacle;
    }

    private void connect(Route route) {
        InterruptController controller = host.controller();
        if (controller == null) {
            throw new ErrnoException(Errno.ENODEV, "there is no interrupt controller; start a bundle that provides "
                + "one");
        }
        List<Integer> reachable = sessions.session().reachable();
        MsiVector vector;
        try {
            MsiRequest request = new MsiRequest(route.device.requester(), choice.reserve(reachable), route.relay);
            vector = gate.holds() ? host.calls().call(controller, "a vector for device " + route.device.name(),
                progress -> controller.doorbells().allocate(request), late -> controller.doorbells().release(late))
                : controller.doorbells().allocate(request);
            route.controller = controller;
            route.vector = vector;
        } finally {
            choice.settle();
        }
        int before = route.bank;
        boolean reached = false;
        try {
            long start = sessions.session().enable(vector.bank());
            reached = true;
            MsiMessage message = controller.doorbells().compose(vector);
            route.program(page(start, vector.bank()) + message.offset(), message.data());
            if (before != Route.NONE) {
                // Enabled once more over a swap: the earlier time is over.
                sessions.session().disable(before);
            }
            route.bank = vector.bank();
        } catch (RuntimeException e) {
            Cleanup steps = new Cleanup();
            steps.take(() -> {
                throw e;
            });
            steps.take(route.device::msiOff);
            steps.take(() -> release(route));
            if (reached) {
                steps.take(() -> sessions.session().disable(vector.bank()));
            }
            steps.end();
        }
    }

    /** {@return the device address of a bank's page, from that of its placement} */
    private long page(long start, int bank) {
        return ledger.placements().stream().filter(one -> one.bank() == bank && one.iova() == start)
            .mapToLong(one -> start + banks.offset(bank, one.length())).findFirst().orElse(start);
    }

    private void release(Route route) {
        MsiVector vector = route.vector;
        route.vector = null;
        if (vector != null) {
            InterruptController controller = route.controller;
            if (gate.holds()) {
                host.calls().run(controller, "the vector of device " + route.device.name(),
                    () -> controller.doorbells().release(vector));
            } else {
                controller.doorbells().release(vector);
            }
        }
    }

    private void leaveBank(Route route) {
        int bank = route.bank;
        route.bank = Route.NONE;
        if (bank != Route.NONE && sessions.bound()) {
            sessions.session().disable(bank);
        }
    }

    /**
     * A device that cannot be held back is silenced: its old message might ring a vector that belongs to another owner
     * by then. Without its message it may drop an interrupt, so one too many is sent later rather than one too few.
     */
    private void park(Route route) {
        if (!gate.possible()) {
            route.assumeMissed();
            route.device.msiOff();
        }
    }

    // What passes a gate.

    /** {@return the pages that messages of routes go to which wait for a vector; empty if none waits} */
    long[] waitingPages() {
        return routes.stream().filter(route -> !route.connected())
            .flatMapToLong(route -> LongStream.of(route.address(), route.earlier()))
            .filter(address -> address != Route.NONE)
            .map(address -> address >>> PAGE_BITS << PAGE_BITS).distinct().toArray();
    }

    /** {@return how many routes wait for a vector. Any thread} */
    public int waiting() {
        return (int) routes.stream().filter(route -> !route.connected()).count();
    }

    /** From now on every message that meets a shut gate is kept. */
    void hold() {
        routes.forEach(route -> route.passes(false));
    }

    /** From now on messages of routes that have a vector pass, though others of their page may be kept. */
    void pass() {
        routes.forEach(route -> route.passes(route.connected()));
    }

    /**
     * The way is open for them: what was kept arrives, at most one interrupt per route, as hardware has one pending
     * bit.
     */
    void deliver() {
        routes.forEach(Route::deliver);
    }

    /**
     * A device of this container writes while it is held back: if it is one of its messages, it is kept. Lock-free.
     *
     * @return whether it is
     */
    public boolean keep(int requester, long iova, int data) {
        boolean kept = false;
        for (Route route : routes) {
            kept |= route.keep(requester, iova, data);
        }
        return kept;
    }

    // Another session takes over.

    /** {@return where each message goes now, for {@link #moveBack}} */
    List<Address> addresses() {
        return routes.stream().filter(Route::connected).map(route -> new Address(route, route.address())).toList();
    }

    /**
     * Enables every vector's bank in a session that is to take over, and gives the devices their new messages. The data
     * stays, and so does a message whose address does. A device is not silenced meanwhile: what it sends is kept.
     *
     * @param enabled gets the bank of each vector that was enabled there, for a caller that has to undo it
     * @throws ErrnoException what the session throws; {@link #moveBack} gives the devices their messages back
     */
    void moveTo(MsiSession next, List<Integer> enabled) {
        for (Route route : routes) {
            MsiVector vector = route.vector;
            if (vector != null) {
                long start = next.enable(vector.bank());
                enabled.add(vector.bank());
                route.program(page(start, vector.bank()) + route.controller.doorbells().compose(vector).offset());
            }
        }
    }

    /** Gives the devices their earlier messages back. */
    void moveBack(List<Address> addresses) {
        Cleanup steps = new Cleanup();
        addresses.forEach(one -> steps.take(() -> one.route.program(one.address)));
        steps.end();
    }

    /** Another session has taken over: every bank is disabled in the old one. */
    void moved(MsiSession old) {
        Cleanup steps = new Cleanup();
        for (Route route : routes) {
            int bank = route.bank;
            route.bank = route.connected() ? route.vector.bank() : Route.NONE;
            if (bank != Route.NONE) {
                steps.take(() -> old.disable(bank));
            }
        }
        steps.end();
    }

    /** Gives every device that uses a bank a message so many bytes further on. */
    void shift(int bank, long distance) {
        for (Route route : routes) {
            if (route.uses(bank)) {
                route.program(route.address() + distance);
            }
        }
    }
}
