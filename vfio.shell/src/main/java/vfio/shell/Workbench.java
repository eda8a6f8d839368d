// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Violation;
import irq.api.InterruptController;
import irq.api.MsiDoorbells;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Hashtable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Slot;
import org.osgi.framework.Bundle;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicyOption;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Mapping;
import vfio.api.Vfio;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;

/**
 * The state of a shell session: plugged and opened devices, and the journal. The only user of VFIO in this bundle; it
 * does what any program could do. One thread at a time, as a shell is. Immediate: one that went with its last command
 * would forget.
 */
@Component(service = Workbench.class, immediate = true)
public final class Workbench {
    private static final int GUARD = 64;
    private static final byte GUARD_BYTE = (byte) 0xa5;
    private static final long PATIENCE_MILLIS = 5_000;
    private static final int FAILED_KEPT = 1024;

    /** A place where a device can be plugged in. */
    record Place(Slot slot, int device, int function) {
        String name() {
            return slot.address(device, function);
        }

        private Requester requester() {
            return slot.requester(device, function);
        }
    }

    /** One opened device. */
    private static final class Opened {
        private final Device device;
        private final EduDriver driver;
        private final Container container;
        private EventFd eventFd;
        private int irq = -1;

        Opened(Device device, Container container) {
            this.device = device;
            this.container = container;
            this.driver = new EduDriver(device);
        }
    }

    /**
     * A swap that was asked for and not done.
     *
     * @param what container or bundle
     * @param with type or jar; empty for a fresh copy
     * @param why one line
     */
    record FailedSwap(Instant at, String what, String with, String why) {
    }

    /** Limit of the wait for an interrupt. */
    long patienceMillis = PATIENCE_MILLIS;

    private final Machine machine;
    private final Vfio vfio;
    /** Comes and goes, as it is swapped: what is plugged stays. */
    @Reference(name = "interrupts", cardinality = ReferenceCardinality.OPTIONAL,
        policyOption = ReferencePolicyOption.GREEDY)
    volatile InterruptController controller;
    private final ConfigurationAdmin configurations;
    private final Map<String, Configuration> plugged = new LinkedHashMap<>();
    private final Map<String, Opened> opened = new LinkedHashMap<>();
    private final SplittableRandom random = new SplittableRandom(0x67616e747279L);
    private final ArrayDeque<FailedSwap> failedSwaps = new ArrayDeque<>();
    private final AtomicBoolean swapping = new AtomicBoolean();
    private final Set<Bundle> hung = ConcurrentHashMap.newKeySet();
    private final Map<Long, Set<Offer>> offered = new ConcurrentHashMap<>();
    private Journal journal = new Journal();

    /** Built by Declarative Services. */
    @Activate
    public Workbench(@Reference(name = "machine") Machine machine, @Reference(name = "vfio") Vfio vfio,
            @Reference(name = "configurations") ConfigurationAdmin configurations) {
        this.machine = machine;
        this.vfio = vfio;
        this.configurations = configurations;
    }

    /** Gives back what was plugged; containers are their service's to close. */
    @Deactivate
    void deactivate() throws IOException {
        for (Configuration configuration : plugged.values()) {
            configuration.delete();
        }
    }

    Machine machine() {
        return machine;
    }

    Vfio vfio() {
        return vfio;
    }

    /** @throws ErrnoException ENODEV while there is none */
    InterruptController controller() {
        InterruptController present = controller;
        if (present == null) {
            throw new ErrnoException(Errno.ENODEV,
                "there is no interrupt controller; start a bundle that provides one");
        }
        return present;
    }

    /** {@return what turns messages into interrupts; empty while there is no interrupt controller} */
    Optional<MsiDoorbells> doorbells() {
        return Optional.ofNullable(controller).map(InterruptController::doorbells);
    }

    Journal journal() {
        return journal;
    }

    /** Notes that a swap was not done. Containers report only what has reached them. */
    void failedSwap(FailedSwap swap) {
        synchronized (failedSwaps) {
            if (failedSwaps.size() == FAILED_KEPT) {
                failedSwaps.removeFirst();
            }
            failedSwaps.add(swap);
        }
    }

    /**
     * Remembers what a bundle offers to containers: stopped, many do not say.
     *
     * @param now what it offers now, or says it does when it is at work
     * @return what it has been seen to offer
     */
    Set<Offer> offered(Bundle bundle, Set<Offer> now) {
        Set<Offer> all = offered.computeIfAbsent(bundle.getBundleId(), id -> ConcurrentHashMap.newKeySet());
        all.addAll(now);
        return Set.copyOf(all);
    }

    /** Begins or ends the one swap of a bundle there may be. {@return whether it was the other way before} */
    boolean swapping(boolean begins) {
        return swapping.compareAndSet(!begins, begins);
    }

    /** A bundle's own code hangs in its start or stop. */
    void hung(Bundle bundle) {
        hung.add(bundle);
    }

    /** It does not hang any more, and is at work. */
    void returned(Bundle bundle) {
        hung.remove(bundle);
    }

    /** Whether its own code was seen to hang: it cannot be replaced until it is gone. */
    boolean hangs(Bundle bundle) {
        return hung.contains(bundle);
    }

    /** {@return the reports of the latest swaps, oldest first; none in a world that swaps nothing} */
    List<Swap> swaps() {
        return vfio.extension(Swaps.class).map(Swaps::latest).orElse(List.of());
    }

    /** {@return the latest swaps that were asked for and not done, oldest first} */
    List<FailedSwap> failedSwaps() {
        synchronized (failedSwaps) {
            return List.copyOf(failedSwaps);
        }
    }

    void startJournal(String title) {
        journal = new Journal();
        journal.title(title);
    }

    Container container(String name) {
        return vfio.containers().stream().filter(container -> container.name().equals(name)).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "no container %s is open; there are %s", name,
                vfio.containers().stream().map(Container::name).toList()));
    }

    /**
     * Plugs an edu device into a slot.
     *
     * @param place {@code device.function} in hex; empty for the next one that is free
     * @return the device's name, when it is in its group
     */
    String plug(String slotName, String place) throws IOException, InterruptedException {
        Slot slot = slot(slotName);
        if (slot.node().builtIn()) {
            throw new ErrnoException(Errno.EOPNOTSUPP,
                "the devices at slot %s are the machine's own, see vfio:devices; none can be plugged in", slotName);
        }
        if (place.isEmpty()) {
            return plug(next(slot));
        }
        int[] at = parse(place);
        return plug(new Place(slot, at[0], at[1]));
    }

    private String plug(Place place) throws IOException, InterruptedException {
        // A place that no unit covers is refused before there is a configuration.
        place.requester();
        String name = place.name();
        Configuration configuration = configurations.createFactoryConfiguration("device.edu", "?");
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put("slot", place.slot.name());
        properties.put("device", place.device);
        properties.put("function", place.function);
        properties.put("dma.mask", -1L);
        configuration.update(properties);
        plugged.put(name, configuration);
        await(name, true);
        return name;
    }

    private Slot slot(String name) {
        return machine.slots().stream().filter(candidate -> candidate.name().equals(name)).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "there is no slot %s; there are %s", name,
                machine.slots().stream().map(Slot::name).toList()));
    }

    /**
     * Plugs an edu device into the first free place whose group has no device, whichever slot that is in.
     *
     * @return the device's name, when it is in its group
     * @throws ErrnoException ENOSPC if there is no such place
     */
    String plugApart() throws IOException, InterruptedException {
        List<Place> places = apart();
        if (places.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC, "%s has no place left for a device in a group of its own",
                machine.model());
        }
        return plug(places.get(0));
    }

    /**
     * Whether so many devices can be plugged in, each into a group of its own. A scenario that cannot be run for lack
     * of them says so before anything is done.
     *
     * @throws ErrnoException ENOSPC if not; the journal notes that nothing began
     */
    void need(int devices) {
        List<Place> places = apart();
        if (places.size() < devices) {
            journal.unfit();
            throw new ErrnoException(Errno.ENOSPC,
                "the scenario needs places for %d devices, each in a group of its own; %s has %s", devices,
                machine.model(), places.isEmpty() ? "none" : places.size() + ": " + places.stream().map(Place::name)
                    .collect(Collectors.joining(", ")));
        }
    }

    /** The first free place of each group that has no device. */
    List<Place> apart() {
        Set<Integer> groups = new HashSet<>();
        vfio.groups().stream().filter(group -> !group.devices().isEmpty()).forEach(group -> groups.add(group.number()));
        return machine.slots().stream().filter(slot -> !slot.node().builtIn()).flatMap(slot -> free(slot).stream())
            .filter(place -> groups.add(place.requester().group())).toList();
    }

    private Place next(Slot slot) {
        return free(slot).stream().findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOSPC, "slot %s has no free place for a device: no "
            + "unit covers it, firmware wants memory mapped for it (RMRR), or it is taken", slot.name()));
    }

    /**
     * The free places of a slot whose devices may be given to a user: those that a unit covers and that firmware does
     * not want memory mapped for. Function 0 of each device first, other functions where there is nothing else; on bus
     * 0 the chipset's own, 0 to 2, after the others.
     */
    List<Place> free(Slot slot) {
        Set<String> present = new HashSet<>(plugged.keySet());
        vfio.groups().forEach(group -> present.addAll(group.devices()));
        Set<Integer> wanted = machine.nodes().stream().filter(node -> node.compatibleWith("intel,rmrr"))
            .flatMapToInt(node -> Arrays.stream(node.cells("requesters"))).boxed().collect(Collectors.toSet());
        int first = slot.address(0, 0).contains(":00:00.0") ? 3 : 0;
        return IntStream.range(0, 256).mapToObj(i -> new Place(slot, (first + i % 32) % 32, i / 32))
            .filter(place -> slot.covers(place.device, place.function) && !present.contains(place.name())
                && !wanted.contains(place.requester().id())).toList();
    }

    private static int[] parse(String place) {
        String[] parts = place.split("\\.");
        try {
            return new int[] {Integer.parseInt(parts[0], 16), parts.length > 1 ? Integer.parseInt(parts[1]) : 0};
        } catch (NumberFormatException e) {
            throw new ErrnoException(Errno.EINVAL, e, "place '%s': write device.function, e.g. 1f.0", place);
        }
    }

    void unplug(String device) throws IOException, InterruptedException {
        Configuration configuration = plugged.get(device);
        if (configuration == null) {
            throw new ErrnoException(Errno.ENODEV, "device %s was not plugged here; there are %s", device,
                plugged.keySet());
        }
        opened.remove(device);
        plugged.remove(device);
        configuration.delete();
        await(device, false);
    }

    /** {@return the devices that were plugged here} */
    List<String> plugged() {
        return List.copyOf(plugged.keySet());
    }

    /** Opens a device once and keeps it open. */
    Device open(String name) {
        return use(name).device;
    }

    void closeContainer(String name) {
        Container container = container(name);
        opened.values().removeIf(device -> device.container == container);
        container.close();
    }

    /**
     * Copies memory to memory by DMA through the device's buffer and compares every byte and the guards around them.
     */
    Journal.Transfer copy(String name, long from, long to, long bytes, String remark) {
        Opened user = use(name);
        byte[] source = new byte[Math.toIntExact(bytes)];
        random.nextBytes(source);
        int before = room(user.container, to - GUARD, to) ? GUARD : 0;
        int after = room(user.container, to + bytes, to + bytes + GUARD) ? GUARD : 0;
        byte[] expected = new byte[before + source.length + after];
        Arrays.fill(expected, GUARD_BYTE);
        poke(user.container, to - before, expected);
        poke(user.container, from, source);
        long faultsBefore = vfio.faultCount();
        for (long done = 0; done < bytes; done += EduDriver.CHUNK) {
            int piece = (int) Math.min(EduDriver.CHUNK, bytes - done);
            user.driver.fetch(from + done, piece);
            user.driver.store(to + done, piece);
        }
        System.arraycopy(source, 0, expected, before, source.length);
        byte[] found = peek(user.container, to - before, expected.length);
        long mismatches = 0;
        for (int i = 0; i < expected.length; i++) {
            mismatches += expected[i] == found[i] ? 0 : 1;
        }
        List<Fault> refused = fresh(faultsBefore).stream().filter(fault -> fault.requester() == user.device.requester())
            .toList();
        String refusal = refused.stream().findFirst().map(fault -> String.format("%s at iova 0x%x: %s",
            fault.access() == Access.WRITE ? "write" : "read", fault.iova(), Refusal.name(fault.refusal()))).orElse("");
        Journal.Transfer transfer = new Journal.Transfer(user.container.name(), name, from, to, bytes, mismatches,
            refused.size(), refusal, remark);
        journal.add(transfer);
        return transfer;
    }

    /**
     * Has the device try what must be refused, and watches that other containers' memory and all eventfds stay as they
     * were.
     */
    Journal.Attempt attempt(String name, boolean write, long iova, int bytes, String expected, String remark) {
        Opened user = use(name);
        long faultsBefore = vfio.faultCount();
        Violation lastBefore = last(vfio.violations());
        List<byte[]> before = others(user.container, iova, bytes);
        if (write) {
            user.driver.store(iova, bytes);
        } else {
            user.driver.fetch(iova, bytes);
        }
        Fault fault = fresh(faultsBefore).stream().filter(one -> (one.access() == Access.WRITE) == write).findFirst()
            .orElse(null);
        Violation last = last(vfio.violations());
        boolean untouched = same(before, others(user.container, iova, bytes)) && strays(null) == 0;
        Journal.Attempt attempt = new Journal.Attempt(user.container.name(), name, user.device.requester(), write, iova,
            bytes, expected, remark, fault, last == lastBefore ? null : last, untouched);
        journal.add(attempt);
        return attempt;
    }

    /** Has a device send the very message another one's MSI is: it must not ring. */
    Journal.Attempt forge(String name, String victim, long scratch, String expected, String remark) {
        MsiRoute route = route(use(victim).container.as(Msis.class), victim);
        if (route == null) {
            throw new ErrnoException(Errno.EINVAL, "no MSI of device %s is enabled; use vfio:irq %s msi first", victim,
                victim);
        }
        Opened user = use(name);
        int data = route.data();
        poke(user.container, scratch,
            new byte[] {(byte) data, (byte) (data >>> 8), (byte) (data >>> 16), (byte) (data >>> 24)});
        user.driver.fetch(scratch, 4);
        return attempt(name, true, route.address(), 4, expected, remark);
    }

    /** Gives the device's interrupt a new eventfd: {@code msi}, {@code intx} or {@code off}. */
    String interrupt(String name, String kind) {
        Opened user = use(name);
        if (user.irq >= 0) {
            user.device.setIrqs(IrqSet.disable(user.irq));
            user.irq = -1;
            user.eventFd = null;
        }
        int irq = switch (kind) {
            case "msi" -> Irq.MSI;
            case "intx" -> Irq.INTX;
            case "off" -> -1;
            default -> throw new ErrnoException(Errno.EINVAL, "'%s': an interrupt is msi, intx or off", kind);
        };
        if (irq < 0) {
            return "off";
        }
        EventFd eventFd = vfio.eventFd();
        int available = user.device.setIrqs(IrqSet.eventFds(irq, 0, eventFd));
        if (available > 0) {
            throw new ErrnoException(Errno.ENOSPC, "only %d vectors are available", available);
        }
        user.eventFd = eventFd;
        user.irq = irq;
        if (irq == Irq.INTX) {
            return "its pin";
        }
        if (user.container.extension(Msis.class).isEmpty()) {
            return "MSI by a way that only its host knows";
        }
        MsiRoute route = route(user);
        return route == null ? "MSI that waits: " + user.container.reason()
            : String.format("bank %d vector %d: 0x%x <- 0x%x", route.bank(), route.vector(), route.address(),
                    route.data());
    }

    /** Has the device raise its interrupt, and sees where it arrives. */
    Journal.Interrupt ring(String name) throws InterruptedException {
        Opened user = use(name);
        if (user.irq < 0) {
            throw new ErrnoException(Errno.EINVAL, "no interrupt of device %s is enabled; use vfio:irq %s msi first",
                name, name);
        }
        MsiRoute before = route(user);
        long begin = System.nanoTime();
        user.driver.raise();
        long delivered = user.eventFd.read(patienceMillis, TimeUnit.MILLISECONDS);
        long micros = (System.nanoTime() - begin) / 1000;
        user.driver.acknowledge();
        if (user.irq == Irq.INTX) {
            user.device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
        }
        delivered += user.eventFd.poll();
        // What waited for a vector when it was raised may have been given one meanwhile.
        MsiRoute route = before != null ? before : route(user);
        Journal.Interrupt interrupt = new Journal.Interrupt(user.container.name(), name, user.irq == Irq.MSI,
            route == null ? -1 : route.bank(), route == null ? -1 : route.vector(), route == null ? 0 : route.address(),
            route == null ? 0 : route.data(), delivered, strays(user), micros);
        journal.add(interrupt);
        return interrupt;
    }

    private Opened use(String name) {
        Opened known = opened.get(name);
        if (known != null && known.container.groups().isEmpty()) {
            opened.remove(name);
            known = null;
        }
        if (known != null) {
            return known;
        }
        Device device = vfio.groupOf(name).device(name);
        Container container = vfio.groupOf(name).container().orElseThrow();
        Opened fresh = new Opened(device, container);
        opened.put(name, fresh);
        return fresh;
    }

    /** {@return the route of a device's MSI; null while it has none, or if only its host knows} */
    private static MsiRoute route(Opened user) {
        return user.container.extension(Msis.class).map(msis -> route(msis, user.device.name())).orElse(null);
    }

    private static MsiRoute route(Msis msis, String device) {
        return msis.routes().stream().filter(route -> route.device().equals(device)).findFirst().orElse(null);
    }

    /** Signals that arrived where none was due. */
    private long strays(Opened due) {
        return opened.values().stream().filter(other -> other != due && other.eventFd != null)
            .mapToLong(other -> other.eventFd.poll()).sum();
    }

    private List<byte[]> others(Container container, long iova, int bytes) {
        List<byte[]> contents = new ArrayList<>();
        for (Container other : vfio.containers()) {
            if (other != container && room(other, iova, iova + bytes)) {
                contents.add(peek(other, iova, bytes));
            }
        }
        return contents;
    }

    /** {@return the accesses that were refused since there were so many, as far as they are remembered} */
    private List<Fault> fresh(long before) {
        List<Fault> faults = vfio.faults();
        int fresh = (int) Math.min(faults.size(), vfio.faultCount() - before);
        return faults.subList(faults.size() - fresh, faults.size());
    }

    private static Violation last(List<Violation> violations) {
        return violations.isEmpty() ? null : violations.get(violations.size() - 1);
    }

    private static boolean same(List<byte[]> before, List<byte[]> after) {
        for (int i = 0; i < before.size(); i++) {
            if (!Arrays.equals(before.get(i), after.get(i))) {
                return false;
            }
        }
        return true;
    }

    /** Whether memory is mapped from start to end, exclusive. */
    private static boolean room(Container container, long start, long end) {
        long next = start;
        for (Mapping mapping : container.mappings()) {
            if (next >= mapping.iova() && next <= mapping.end()) {
                next = mapping.end() + 1;
            }
        }
        return start >= 0 && next >= end;
    }

    /** Accesses the program's own mapped memory by device address. */
    private static void poke(Container container, long iova, byte[] bytes) {
        each(container, iova, bytes.length,
            (mapping, offset, done, piece) -> mapping.buffer().write(offset, bytes, done, piece));
    }

    private static byte[] peek(Container container, long iova, int length) {
        byte[] bytes = new byte[length];
        each(container, iova, length,
            (mapping, offset, done, piece) -> mapping.buffer().read(offset, bytes, done, piece));
        return bytes;
    }

    private interface Piece {
        void move(Mapping mapping, long offset, int done, int length);
    }

    private static void each(Container container, long iova, int length, Piece piece) {
        List<Mapping> mappings = container.mappings();
        for (int done = 0; done < length; ) {
            long at = iova + done;
            Mapping mapping = mappings.stream().filter(one -> at >= one.iova() && at <= one.end()).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.EFAULT, "container %s has no memory at iova 0x%x",
                    container.name(), at));
            int step = (int) Math.min(length - done, mapping.end() - at + 1);
            piece.move(mapping, mapping.offset() + at - mapping.iova(), done, step);
            done += step;
        }
    }

    private void await(String device, boolean present) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS);
        while (vfio.groups().stream().anyMatch(group -> group.devices().contains(device)) != present) {
            if (System.nanoTime() > deadline) {
                throw new ErrnoException(Errno.ETIMEDOUT, "device %s did not %s within %d ms; see the log", device,
                    present ? "appear" : "leave", PATIENCE_MILLIS);
            }
            Thread.sleep(2);
        }
    }
}
