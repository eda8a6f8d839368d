// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import irq.api.InterruptController;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.stream.LongStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.MsiRoute;
import vfio.api.VectorPolicy;
import vfio.api.msi.MsiEnvironment;
import vfio.api.msi.MsiSession;
import vfio.container.host.Cleanup;
import vfio.container.irq.Relay;

/**
 * The MSI vectors of one container: where the two halves of a message meet. The host owns the vector, hence the data; whoever
 * placed the bank's window owns the address. Guarded by the container's lock, but for {@link #uses} and {@link #isolated},
 * which other containers ask, and {@link #keep}, which devices call.
 */
final class Interrupts {
    private static final int NONE = -1;
    /** How long a bank that another container has reserved is waited for. */
    private static final long SETTLING_NANOS = 1_000_000_000L;

    /** One vector of one device, with all that is needed to route it again. */
    static final class Route {
        private final VfioDevice device;
        private final Relay relay;
        private final AtomicBoolean missed = new AtomicBoolean();
        /** Whether its messages pass a gate that is shut for messages of routes that wait. */
        private volatile boolean passes;
        private InterruptController controller;
        private volatile MsiVector vector;
        /** The bank the strategy was told of. */
        private int bank = NONE;
        private volatile long address = NONE;
        private volatile int data;
        /** The message before this one: a device sends it, or half of it, until it is programmed with the new one. */
        private volatile long earlier = NONE;
        private volatile int earlierData;

        private Route(VfioDevice device, Relay relay) {
            this.device = device;
            this.relay = relay;
        }

        Relay relay() {
            return relay;
        }
    }

    private final VfioService service;
    private final VfioContainer container;
    private final List<Route> routes = new CopyOnWriteArrayList<>();
    /** Banks that are about to be used. Written under the lock of all vectors. */
    private volatile Set<Integer> reserved = Set.of();
    private volatile VectorPolicy policy = VectorPolicy.FIRST_FIT;
    private int turn;

    Interrupts(VfioService service, VfioContainer container) {
        this.service = service;
        this.container = container;
    }

    VectorPolicy policy() {
        return policy;
    }

    void policy(VectorPolicy next) {
        synchronized (service.vectors()) {
            policy = next;
        }
    }

    boolean enabled() {
        return !routes.isEmpty();
    }

    /** {@return the banks this container may use, with what it uses of each} */
    List<MsiEnvironment.Bank> banks() {
        InterruptController controller = service.controller();
        if (controller == null) {
            return List.of();
        }
        return controller.doorbells().banks().stream().filter(bank -> uses(bank.index()) || !forbidden(bank.index()))
            .map(bank -> new MsiEnvironment.Bank(bank.index(), bank.length(), inUse(bank.index()))).toList();
    }

    /** {@return the routes that are connected} */
    List<MsiRoute> list() {
        return routes.stream().filter(route -> route.vector != null)
            .map(route -> new MsiRoute(route.device.name(), route.vector.bank(), route.vector.number(), route.address, route.data))
            .toList();
    }

    /**
     * Decides which banks are to be used, one container at a time, and reserves them until {@link #settle}: what makes them used is somebody
     * else's code, and is called with no lock of everybody held. Where only a reservation of another container's may be in the way, waits a
     * moment for what becomes of it.
     *
     * @param choice throws if there is nothing to choose
     */
    List<Integer> reserve(Supplier<List<Integer>> choice) {
        Object vectors = service.vectors();
        long end = System.nanoTime() + SETTLING_NANOS;
        boolean interrupted = false;
        try {
            synchronized (vectors) {
                while (true) {
                    try {
                        List<Integer> banks = choice.get();
                        reserved = Set.copyOf(banks);
                        return banks;
                    } catch (ErrnoException e) {
                        long left = end - System.nanoTime();
                        if (left <= 0 || service.open().stream().allMatch(one -> one == container || one.interrupts().reserved.isEmpty())) {
                            throw e;
                        }
                        try {
                            vectors.wait(left / 1_000_000 + 1);
                        } catch (InterruptedException again) {
                            interrupted = true;
                        }
                    }
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** What was reserved is in use now, or is not going to be. */
    void settle() {
        synchronized (service.vectors()) {
            reserved = Set.of();
            service.vectors().notifyAll();
        }
    }

    /** Whether a vector of that bank is in use here, or about to be. Any thread. */
    boolean uses(int bank) {
        return reserved.contains(bank) || routes.stream().map(route -> route.vector).anyMatch(vector -> vector != null && vector.bank() == bank);
    }

    /** Whether this container's banks must be its own. Any thread. */
    boolean isolated() {
        return policy == VectorPolicy.ISOLATED;
    }

    /**
     * Whether isolation, this container's or another's, keeps the bank from this one. Where doorbells verify their source
     * nobody can ring another's vector, and a bank may be shared.
     */
    boolean forbidden(int bank) {
        InterruptController controller = service.controller();
        return controller != null && !controller.doorbells().verifiesSource() && service.open().stream()
            .anyMatch(other -> other != container && (isolated() || other.interrupts().isolated()) && other.reaches(bank));
    }

    /**
     * Takes a vector for a device, has its bank made reachable, and programs the device with the message.
     *
     * @throws ErrnoException what the strategy says if no bank is reachable; ENOSPC if none has a free vector; ENODEV without
     *     an interrupt controller
     */
    Route enable(VfioDevice device, Relay relay) {
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
        steps.take(() -> route.device.config().msiOff());
        steps.take(() -> release(route));
        steps.take(() -> leaveBank(route));
        steps.end();
    }

    /** Something may be left in the controller that will not be served: one interrupt too many rather than one too few. */
    void presume() {
        routes.stream().filter(route -> route.vector != null).forEach(route -> route.missed.set(true));
    }

    /** The controller is leaving: the vectors go back, routes and windows stay. */
    void controllerLeaving() {
        Cleanup steps = new Cleanup();
        routes.forEach(route -> steps.take(() -> release(route)));
        steps.end();
    }

    /** The strategy is leaving, and with it the windows: the vectors go back, and what the devices send is kept. */
    void strategyLeaving() {
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
    String connect() {
        String obstacle = "";
        for (Route route : routes) {
            if (route.vector == null) {
                try {
                    connect(route);
                } catch (RuntimeException e) {
                    if (service.controller() != null) {
                        try {
                            park(route);
                        } catch (RuntimeException again) {
                            e.addSuppressed(again);
                        }
                    }
                    obstacle = obstacle.isEmpty() ? "the MSI of device " + route.device.name() + " waits: " + e.getMessage() : obstacle;
                }
            }
        }
        return obstacle;
    }

    /** {@return the pages that messages of routes go to which wait for a vector; empty if none waits} */
    long[] waitingPages() {
        return routes.stream().filter(route -> route.vector == null).flatMapToLong(route -> LongStream.of(route.address, route.earlier))
            .filter(address -> address != NONE).map(address -> address >>> 12 << 12).distinct().toArray();
    }

    /** {@return how many routes wait for a vector} */
    int waiting() {
        return (int) routes.stream().filter(route -> route.vector == null).count();
    }

    /** From now on every message that meets a shut gate is kept. */
    void hold() {
        routes.forEach(route -> route.passes = false);
    }

    /** From now on messages of routes that have a vector pass, though others of their page may be kept. */
    void pass() {
        routes.forEach(route -> route.passes = route.vector != null);
    }

    /** The way is open for them: what was kept arrives, one interrupt a route, as hardware has one pending bit. */
    void deliver() {
        for (Route route : routes) {
            if (route.vector != null && route.missed.getAndSet(false)) {
                route.relay.interrupt();
            }
        }
    }

    /**
     * A device of this container writes while it is held back: if it is one of its messages, it is kept. Lock-free.
     *
     * @return whether it is
     */
    boolean keep(int requester, long iova, int data) {
        boolean kept = false;
        for (Route route : routes) {
            if (!route.passes && (data == route.data || data == route.earlierData) && sent(iova, route.address, route.earlier)
                    && requester == route.device.requester()) {
                route.missed.set(true);
                kept = true;
            }
        }
        return kept;
    }

    /** Whether it is either address, or, as a device's address is programmed in halves, one half of each. */
    private static boolean sent(long iova, long address, long earlier) {
        return ((int) iova == (int) address || (int) iova == (int) earlier)
            && (iova >>> 32 == address >>> 32 || iova >>> 32 == earlier >>> 32);
    }

    /** Where a device's message goes. */
    record Address(Route route, long address) {
    }

    /** {@return where each message goes now, for {@link #moveBack}} */
    List<Address> addresses() {
        return routes.stream().filter(route -> route.vector != null).map(route -> new Address(route, route.address)).toList();
    }

    /**
     * Enables every vector's bank in a session that is to take over, and gives the devices their new messages. The data stays, and
     * so does a message whose address does. A device is not silenced meanwhile: what it sends is kept.
     *
     * @param enabled gets the bank of each vector that was enabled there, for who has to undo it
     * @throws ErrnoException what the session throws; {@link #moveBack} gives the devices their messages back
     */
    void moveTo(MsiSession next, List<Integer> enabled) {
        for (Route route : routes) {
            MsiVector vector = route.vector;
            if (vector != null) {
                long page = next.enable(vector.bank());
                enabled.add(vector.bank());
                program(route, page + route.controller.doorbells().compose(vector).offset());
            }
        }
    }

    /** Gives the devices their earlier messages back. */
    void moveBack(List<Address> addresses) {
        Cleanup steps = new Cleanup();
        addresses.forEach(one -> steps.take(() -> program(one.route, one.address)));
        steps.end();
    }

    /** Another session has taken over: every bank is disabled in the old one. */
    void moved(MsiSession old) {
        Cleanup steps = new Cleanup();
        for (Route route : routes) {
            int bank = route.bank;
            route.bank = route.vector == null ? NONE : route.vector.bank();
            if (bank != NONE) {
                steps.take(() -> old.disable(bank));
            }
        }
        steps.end();
    }

    /** Gives every device that uses a bank a message so many bytes further on. */
    void shift(int bank, long distance) {
        for (Route route : routes) {
            if (route.vector != null && route.vector.bank() == bank) {
                program(route, route.address + distance);
            }
        }
    }

    private static void program(Route route, long address) {
        if (address != route.address) {
            program(route, address, route.data);
        }
    }

    /**
     * Both messages are known before the device sends a piece of either. When it is programmed, the earlier one is not on its way any more
     * and is forgotten: it may be another device's by now, which the hardware cannot tell from this one.
     */
    private static void program(Route route, long address, int data) {
        route.earlier = route.address;
        route.earlierData = route.data;
        route.address = address;
        route.data = data;
        route.device.config().msiOn(address, data);
        route.earlier = NONE;
        route.earlierData = data;
    }

    private void connect(Route route) {
        InterruptController controller = service.controller();
        if (controller == null) {
            throw new ErrnoException(Errno.ENODEV, "there is no interrupt controller; start a bundle that provides one");
        }
        List<Integer> reachable = container.session().reachable();
        MsiVector vector;
        try {
            List<Integer> banks = reserve(() -> candidates(reachable));
            MsiRequest request = new MsiRequest(route.device.requester(), banks, route.relay);
            vector = container.quiescence().holds() ? service.patience().call(controller, "a vector for device " + route.device.name(),
                progress -> controller.doorbells().allocate(request), late -> controller.doorbells().release(late))
                : controller.doorbells().allocate(request);
            route.controller = controller;
            route.vector = vector;
        } finally {
            settle();
        }
        int before = route.bank;
        boolean reached = false;
        try {
            long page = container.session().enable(vector.bank());
            reached = true;
            MsiMessage message = controller.doorbells().compose(vector);
            program(route, page + message.offset(), message.data());
            if (before != NONE) {
                // Enabled once more over a swap: the earlier time is over.
                container.session().disable(before);
            }
            route.bank = vector.bank();
        } catch (RuntimeException e) {
            Cleanup steps = new Cleanup();
            steps.take(() -> {
                throw e;
            });
            steps.take(() -> route.device.config().msiOff());
            steps.take(() -> release(route));
            if (reached) {
                steps.take(() -> container.session().disable(vector.bank()));
            }
            steps.end();
        }
    }

    private void release(Route route) {
        MsiVector vector = route.vector;
        route.vector = null;
        if (vector != null) {
            InterruptController controller = route.controller;
            if (container.quiescence().holds()) {
                service.patience().run(controller, "the vector of device " + route.device.name(),
                    () -> controller.doorbells().release(vector));
            } else {
                controller.doorbells().release(vector);
            }
        }
    }

    private void leaveBank(Route route) {
        int bank = route.bank;
        route.bank = NONE;
        if (bank != NONE && container.hasSession()) {
            container.session().disable(bank);
        }
    }

    /**
     * A device that cannot be held back is silenced: its old message might ring a vector that is somebody else's by then. Without its
     * message it may drop an interrupt, so one too many is sent later rather than one too few.
     */
    private void park(Route route) {
        if (!container.quiescence().possible()) {
            route.missed.set(true);
            route.device.config().msiOff();
        }
    }

    private List<Integer> candidates(List<Integer> reachable) {
        List<Integer> banks = new ArrayList<>(reachable);
        banks.removeIf(this::forbidden);
        if (banks.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC,
                "banks %s are reachable, but other containers reach them too and isolation is asked for; reach other banks or choose "
                    + "another vector policy", reachable);
        }
        switch (policy) {
            case FIRST_FIT -> {
            }
            case PACKED -> banks.sort(Comparator.comparing(bank -> !uses(bank)));
            case SPREAD -> Collections.rotate(banks, -(turn++ % banks.size()));
            case ISOLATED -> {
                banks.sort(Comparator.comparing(bank -> !uses(bank)));
                return banks.subList(0, 1);
            }
        }
        return banks;
    }

    private int inUse(int bank) {
        return (int) routes.stream().filter(route -> route.vector != null && route.vector.bank() == bank).count();
    }
}
