// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;

/**
 * One workload, run once under every MSI strategy, each time in a fresh container: two devices move memory and
 * interrupt through every bank, a third one is plugged in while they work, and another container wants interrupts as
 * well. What is reported was observed. One thread; leaves nothing behind.
 */
final class Comparison {
    /**
     * The aperture of <em>RFC: vfio API changes needed for powerpc</em>; where translation is paged, there are no
     * windows to set.
     */
    private static final Geometry GEOMETRY = new Geometry(0, 512L << 20);
    private static final int WINDOWS = 8;
    private static final long MEMORY = 256L << 20;
    /** Start of memory in a paged aperture: clear of the ranges reserved on PCs, and of Linux's range for doorbells. */
    private static final long PAGED_START = 0x4000_0000L;
    private static final int PATIENCE_SECONDS = 5;
    private static final int BATCHES = 51;
    private static final int BATCH = 100;

    /**
     * What was seen of one strategy. What is not known because the strategy is not feasible is 0 or empty.
     *
     * @param userOperations how many operations of the strategy the user had to do before every bank could be rung
     * @param wasted bytes of the windows spent on banks in which nothing answers
     * @param smallest the smallest aperture in which both devices interrupt, beside the same memory; empty if there are
     *     no windows
     * @param firstNanos from the device's register being written to the first signal, in a container where nothing has
     *     interrupted yet
     * @param nanos the same once warm, median
     * @param failure what went wrong although the strategy is feasible
     */
    record Result(MsiChoice choice, boolean feasible, String reason, int userOperations, String mustKnow,
        int windowsUsed, long wasted,
            String smallest, String hotPlug, int hotPlugOperations, String isolation, List<Integer> sharedBanks,
        long raised,
            long delivered, Map<Integer, Long> perBank, long bytesVerified, long mismatches, double firstNanos,
        double nanos,
            String failure, Layout layout) {
        boolean ok() {
            return !feasible || failure.isEmpty() && raised == delivered && mismatches == 0 && bytesVerified > 0;
        }
    }

    private final Workbench bench;
    private final List<Result> results = new ArrayList<>();
    private final SplittableRandom random = new SplittableRandom(0x636f6d70617265L);
    private double addNanos;
    private int containers;

    Comparison(Workbench bench) {
        this.bench = bench;
    }

    /**
     * Plugs devices, compares, and takes everything away again.
     *
     * @throws ErrnoException EBUSY if the devices' group is in a container already; ENODEV without an IOMMU
     */
    void run(String iommu, List<String> slots) throws IOException, InterruptedException {
        if (slots.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC, "%s has no place for a device that its IOMMU knows",
                bench.machine().model());
        }
        List<String> plugged = new ArrayList<>();
        try {
            plugged.add(bench.plug(slots.get(0), ""));
            plug(slots.get(0)).ifPresent(plugged::add);
            List<String> devices = List.copyOf(plugged);
            Optional<String> other = plug(slots.get(slots.size() > 1 ? 1 : 0));
            other.ifPresent(plugged::add);
            String stranger = other.filter(name -> devices.stream().noneMatch(one -> group(one) == group(name)))
                .orElse("");
            addNanos = add();
            List<MsiChoice> choices = choices(iommu, devices);
            // Not measured: the first run pays for what the JVM has yet to load and to compile.
            for (MsiChoice choice : choices.stream().filter(one -> one.assessment().feasible()).limit(1).toList()) {
                new Trial(iommu, choice, devices, "", slots.get(0)).run();
            }
            for (MsiChoice choice : choices) {
                Trial trial = new Trial(iommu, choice, devices, stranger, slots.get(0));
                results.add(trial.run());
            }
        } finally {
            for (String device : plugged) {
                bench.unplug(device);
            }
        }
    }

    List<Result> results() {
        return results;
    }

    /** {@return nanoseconds of an add to an AtomicLong that nobody else touches, measured in this run} */
    double addNanos() {
        return addNanos;
    }

    /**
     * {@return what was not as it should be; empty if every feasible strategy delivered every interrupt and every byte}
     */
    List<String> failures() {
        return results.stream().filter(result -> !result.ok())
            .map(result -> String.format("%s: %s", result.choice.name(),
            result.failure.isEmpty()
                    ? String.format("%d of %d interrupts arrived, %d of %d bytes are wrong", result.delivered,
                result.raised, result.mismatches, result.bytesVerified) : result.failure)).toList();
    }

    /** {@return the device, if there was a place left for one} */
    private Optional<String> plug(String slot) throws IOException, InterruptedException {
        try {
            return Optional.of(bench.plug(slot, ""));
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOSPC) {
                throw e;
            }
            return Optional.empty();
        }
    }

    private int group(String device) {
        return bench.vfio().groupOf(device).number();
    }

    private List<MsiChoice> choices(String iommu, List<String> devices) {
        try (Container container = open(iommu, devices)) {
            shape(container, GEOMETRY, WINDOWS);
            return container.as(Msis.class).explain();
        }
    }

    private Container open(String iommu, List<String> devices) {
        Container container = bench.vfio().openContainer("comparison " + ++containers);
        try {
            for (String device : devices) {
                if (container.groups().stream().noneMatch(group -> group.devices().contains(device))) {
                    container.addGroup(bench.vfio().groupOf(device));
                }
            }
            container.setIommu(iommu);
            return container;
        } catch (RuntimeException e) {
            container.close();
            throw e;
        }
    }

    private static void shape(Container container, Geometry geometry, int windows) {
        if (container.info().capabilities().windowed()) {
            container.set(geometry);
            container.set(new Windows(windows));
        }
    }

    private static Device device(Container container, String name) {
        return container.groups().stream().filter(group -> group.devices().contains(name)).findFirst().orElseThrow()
            .device(name);
    }

    /** The yardstick is the atomic addition itself, whether or not another thread sees it. */
    @SuppressWarnings("UnnecessaryAsync")
    private static double add() {
        AtomicLong counter = new AtomicLong();
        double[] batches = new double[BATCHES];
        for (int warm = 0; warm < 2; warm++) {
            for (int i = 0; i < BATCHES; i++) {
                long begin = System.nanoTime();
                for (int j = 0; j < 100 * BATCH; j++) {
                    counter.incrementAndGet();
                }
                batches[i] = (System.nanoTime() - begin) / (100.0 * BATCH);
            }
        }
        return median(batches);
    }

    private static double median(double[] values) {
        Arrays.sort(values);
        return values[values.length / 2];
    }

    /** The knowledge that a strategy's user needs and no call returns. */
    private static String mustKnow(String strategy) {
        return switch (strategy) {
            case "reserved" -> "nothing";
            case "bank" -> "the count; an address for each bank";
            case "window" -> "nothing: the range is announced";
            case "topdown" -> "the count: so many windows to leave free";
            case "tail" -> "the last windows are taken; nothing says so";
            case "flag" -> "a flag, a bank's size; an address for each bank";
            case "fd" -> "a descriptor and a vaddr per bank; an address for each";
            default -> "not known to this comparison";
        };
    }

    /** One strategy's turn. */
    private final class Trial {
        private final String iommu;
        private final MsiChoice choice;
        private final List<String> devices;
        private final String stranger;
        private final String slot;
        private final Set<Device> enabled = new HashSet<>();
        private int operations;
        private long raised;
        private long delivered;
        private long bytes;
        private long mismatches;
        private final Map<Integer, Long> perBank = new TreeMap<>();

        Trial(String iommu, MsiChoice choice, List<String> devices, String stranger, String slot) {
            this.iommu = iommu;
            this.choice = choice;
            this.devices = devices;
            this.stranger = stranger;
            this.slot = slot;
        }

        private Result refused(String reason) {
            return new Result(choice, false, reason, 0, mustKnow(choice.name()), 0, 0, "", "", 0, "", List.of(), 0, 0,
                Map.of(), 0, 0, 0, 0, "", new Layout(new Geometry(0, 0), 0, List.of()));
        }

        Result run() throws IOException, InterruptedException {
            String failure = "";
            String hotPlug = "";
            int hotPlugOperations = 0;
            List<Integer> shared = List.of();
            String isolation = "";
            int windowsUsed = 0;
            long wasted = 0;
            int spent = 0;
            double first = 0;
            double warm = 0;
            Layout layout = new Layout(new Geometry(0, 0), 0, List.of());
            DmaMemory memory = bench.machine().memory();
            try (DmaBuffer buffer = memory.allocate(MEMORY, MEMORY, DmaMemory.Layout.CONTIGUOUS);
                 Container container = open(iommu, devices)) {
                shape(container, GEOMETRY, WINDOWS);
                try {
                    container.as(Msis.class).strategy(choice.name());
                } catch (ErrnoException e) {
                    return refused(choice.assessment().feasible() ? e.getMessage() : choice.assessment().reason());
                }
                long start = start(container);
                container.map(start, buffer, 0, MEMORY, Access.READ_WRITE);
                List<EduDriver> drivers = new ArrayList<>();
                List<Device> open = new ArrayList<>();
                for (String name : devices) {
                    Device device = device(container, name);
                    open.add(device);
                    drivers.add(new EduDriver(device));
                }
                user(container, MEMORY);
                spent = operations;
                container.as(Msis.class).vectorPolicy(VectorPolicy.SPREAD);
                first = ring(container, open.get(0), drivers.get(0), enable(open.get(0)));
                if (open.size() > 1) {
                    ring(container, open.get(1), drivers.get(1), enable(open.get(1)));
                }
                int banks = Math.max(1, bench.controller().doorbells().banks().size());
                for (int i = 0; i < banks; i++) {
                    ring(container, open.get(0), drivers.get(0), enable(open.get(0)));
                }
                for (int i = 0; i < drivers.size(); i++) {
                    for (long at = 0; at < MEMORY; at += MEMORY / 4) {
                        copy(drivers.get(i), buffer, start, at + i * 0x10000L,
                            (at + MEMORY / 4 + 0x8000) % MEMORY + i * 0x10000L);
                    }
                }
                List<MsiPlacement> before = container.as(Msis.class).placements();
                int operationsBefore = operations;
                hotPlug = hotPlug(container, before);
                hotPlugOperations = operations - operationsBefore;
                shared = shared(container);
                isolation = isolation(shared);
                warm = warm(container, open.get(0), drivers.get(0));
                // What all the banks take, with two devices and as many vectors as there are banks rung.
                List<MsiPlacement> now = container.as(Msis.class).placements();
                layout = Layout.of(container);
                windowsUsed = Math.max(before.size(), now.size());
                long span = layout.windows() == 0 ? 0 : layout.geometry().size() / layout.windows();
                wasted = span == 0 ? 0 : (before.size() > now.size() ? before : now).stream()
                    .mapToLong(placement -> span - placement.length()).sum();
            } catch (ErrnoException e) {
                failure = e.getMessage();
            }
            return new Result(choice, true, choice.assessment().reason(), spent, mustKnow(choice.name()), windowsUsed,
                wasted, smallest(), hotPlug, hotPlugOperations, isolation, shared, raised, delivered, perBank, bytes,
                mismatches, first, warm, failure, layout);
        }

        /** {@return the start of the memory: that of the aperture; in a paged one, a range that nothing occupies} */
        private long start(Container container) {
            return container.info().capabilities().windowed() ? container.get(Geometry.class).start() : PAGED_START;
        }

        /** One operation of the strategy. */
        private long call(Container container, String operation, long... arguments) {
            operations++;
            return container.as(Msis.class).call(operation, arguments);
        }

        /**
         * Performs the strategy's user operations after memory is mapped: makes each bank reachable, in the windows
         * behind the memory.
         */
        private void user(Container container, long mapped) {
            if (container.as(Msis.class).strategy()
                .filter(List.of("bank", "flag", "fd", "topdown")::contains).isEmpty()) {
                return;
            }
            boolean asks = choice.name().equals("bank") || choice.name().equals("topdown");
            int banks = asks ? (int) call(container, "GET_MSI_BANK_COUNT")
                : bench.controller().doorbells().banks().size();
            boolean windowed = container.info().capabilities().windowed();
            Geometry geometry = windowed ? container.get(Geometry.class) : null;
            long span = windowed ? geometry.size() / container.get(Windows.class).count() : 0x1000;
            long end = windowed ? geometry.end() : Long.MAX_VALUE;
            long iova = start(container) + mapped;
            for (int bank = 0; bank < banks && iova + span - 1 <= end; bank++, iova += span) {
                switch (choice.name()) {
                    case "bank" -> call(container, "MAP_MSI_BANK", bank, iova);
                    case "flag" ->
                    call(container, "MAP_DMA_MSI", iova, bench.controller().doorbells().banks().get(bank).length());
                    case "fd" ->
                    call(container, "MAP_DMA_FD", call(container, "MMAP", call(container, "GET_MSI_FD", bank)), iova);
                    default -> {
                    }
                }
            }
        }

        private EventFd enable(Device device) {
            if (!enabled.add(device)) {
                device.setIrqs(IrqSet.disable(Irq.MSI));
            }
            EventFd eventFd = bench.vfio().eventFd();
            int available = device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
            if (available > 0) {
                throw new ErrnoException(Errno.ENOSPC, "device %s has only %d vectors", device.name(), available);
            }
            return eventFd;
        }

        /** {@return nanoseconds until the signal} */
        private double ring(Container container, Device device, EduDriver driver, EventFd eventFd)
            throws InterruptedException {
            MsiRoute route = container.as(Msis.class).routes().stream()
                .filter(one -> one.device().equals(device.name())).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.ENODEV, "the MSI of device %s waits: %s", device.name(),
                    container.reason()));
            double nanos = ring(driver, eventFd);
            perBank.merge(route.bank(), 1L, Long::sum);
            return nanos;
        }

        private double ring(EduDriver driver, EventFd eventFd) throws InterruptedException {
            raised++;
            long begin = System.nanoTime();
            driver.raise();
            long signals = eventFd.read(PATIENCE_SECONDS, TimeUnit.SECONDS);
            double nanos = System.nanoTime() - begin;
            delivered += signals;
            if (signals != 1) {
                throw new ErrnoException(Errno.EIO, "an interrupt arrived %d times", signals);
            }
            return nanos;
        }

        private double warm(Container container, Device device, EduDriver driver) throws InterruptedException {
            EventFd eventFd = enable(device);
            ring(container, device, driver, eventFd);
            double[] batches = new double[BATCHES];
            for (int i = 0; i < BATCHES; i++) {
                double nanos = 0;
                for (int j = 0; j < BATCH; j++) {
                    nanos += ring(driver, eventFd);
                }
                batches[i] = nanos / BATCH;
            }
            driver.acknowledge();
            return median(batches);
        }

        private void copy(EduDriver driver, DmaBuffer buffer, long start, long from, long to) {
            byte[] source = new byte[EduDriver.CHUNK];
            random.nextBytes(source);
            buffer.write(from, source, 0, source.length);
            driver.fetch(start + from, source.length);
            driver.store(start + to, source.length);
            byte[] found = new byte[source.length];
            buffer.read(to, found, 0, found.length);
            for (int i = 0; i < source.length; i++) {
                mismatches += source[i] == found[i] ? 0 : 1;
            }
            bytes += source.length;
        }

        /** A third device comes while two work. {@return what was seen} */
        private String hotPlug(Container container, List<MsiPlacement> before)
            throws IOException, InterruptedException {
            Optional<String> plugged = plug(slot);
            if (plugged.isEmpty()) {
                return "no place for one";
            }
            String name = plugged.get();
            try {
                if (container.groups().stream().noneMatch(group -> group.devices().contains(name))) {
                    container.addGroup(bench.vfio().groupOf(name));
                }
                Device device = device(container, name);
                EduDriver driver = new EduDriver(device);
                try {
                    EventFd eventFd = enable(device);
                    ring(container, device, driver, eventFd);
                } catch (ErrnoException e) {
                    return "refused: " + e.getMessage();
                }
                Msis msis = container.as(Msis.class);
                int bank = msis.routes().stream().filter(one -> one.device().equals(name)).findFirst()
                    .orElseThrow().bank();
                MsiPlacement placement = msis.placements().stream().filter(one -> one.bank() == bank)
                    .findFirst().orElse(null);
                String found = placement == null ? "nothing to place"
                    : before.contains(placement) ? String.format("bank %d, placed before", bank)
                    : String.format("bank %d placed at 0x%x for it", bank, placement.iova());
                device.close();
                return found;
            } finally {
                bench.unplug(name);
            }
        }

        /** Another container, the same strategy, the default policy. {@return banks that both reach} */
        private List<Integer> shared(Container container) throws InterruptedException {
            if (stranger.isEmpty()) {
                return List.of();
            }
            try (Container other = open(iommu, List.of(stranger));
                 DmaBuffer buffer = bench.machine().memory().allocate(MEMORY, MEMORY, DmaMemory.Layout.CONTIGUOUS)) {
                shape(other, GEOMETRY, WINDOWS);
                other.as(Msis.class).strategy(choice.name());
                other.map(start(other), buffer, 0, MEMORY, Access.READ_WRITE);
                int own = operations;
                user(other, MEMORY);
                operations = own;
                Device device = device(other, stranger);
                EduDriver driver = new EduDriver(device);
                ring(other, device, driver, enable(device));
                HashSet<Integer> banks = new HashSet<>(
                    container.as(Msis.class).placements().stream().map(MsiPlacement::bank).toList());
                banks.retainAll(other.as(Msis.class).placements().stream().map(MsiPlacement::bank).toList());
                return banks.stream().sorted().toList();
            }
        }

        private String isolation(List<Integer> shared) {
            if (bench.controller().doorbells().verifiesSource()) {
                return "source verified";
            }
            return stranger.isEmpty() ? "nobody to share with"
                : shared.isEmpty() ? "no bank shared" : "shares banks " + shared;
        }

        /**
         * The smallest aperture that holds the same memory and lets both devices interrupt. Each is tried in a
         * container of its own.
         */
        private String smallest() throws InterruptedException {
            DmaMemory memory = bench.machine().memory();
            try (DmaBuffer buffer = memory.allocate(MEMORY, MEMORY, DmaMemory.Layout.CONTIGUOUS)) {
                for (long size = MEMORY; size <= 4 * MEMORY; size *= 2) {
                    for (int windows = 2; windows <= 32; windows *= 2) {
                        try (Container container = open(iommu, devices)) {
                            if (!container.info().capabilities().windowed()) {
                                return "";
                            }
                            if (works(container, buffer, new Geometry(0, size), windows)) {
                                return String.format("%s in %d windows", Amount.size(size), windows);
                            }
                        }
                    }
                }
            }
            return "none up to " + Amount.size(4 * MEMORY);
        }

        private boolean works(Container container, DmaBuffer buffer, Geometry geometry, int windows)
            throws InterruptedException {
            int own = operations;
            try {
                shape(container, geometry, windows);
                container.as(Msis.class).strategy(choice.name());
                container.map(geometry.start(), buffer, 0, MEMORY, Access.READ_WRITE);
                user(container, MEMORY);
                for (String name : devices) {
                    Device device = device(container, name);
                    EduDriver driver = new EduDriver(device);
                    EventFd eventFd = enable(device);
                    driver.raise();
                    if (eventFd.read(PATIENCE_SECONDS, TimeUnit.SECONDS) != 1) {
                        return false;
                    }
                }
                return true;
            } catch (ErrnoException e) {
                // Too small: the strategy or the IOMMU says so.
                return false;
            } finally {
                operations = own;
            }
        }
    }
}
