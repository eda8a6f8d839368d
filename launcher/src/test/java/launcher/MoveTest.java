// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import device.edu.Edu;
import device.edu.EduSettings;
import iommu.api.Geometry;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Slot;
import machine.fdt.FdtMachineSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;
import vfio.container.VfioService;
import vfio.msi.BankStrategy;
import vfio.msi.FdStrategy;
import vfio.msi.FlagStrategy;
import vfio.msi.ReservedStrategy;
import vfio.msi.TailStrategy;
import vfio.msi.TopDownStrategy;
import vfio.msi.WindowStrategy;

/**
 * A container moves from each strategy to each other one while its devices interrupt. Real units, drivers and
 * strategies.
 */
@Timeout(60)
class MoveTest {
    private static final long MIB = 1L << 20;
    private static final List<String> NAMES = List.of("bank", "window", "topdown", "tail", "flag", "fd");
    private static final int ROUNDS = 4;

    private final List<AutoCloseable> resources = new ArrayList<>();
    private final Map<Integer, AtomicLong> refused = new HashMap<>();
    private final List<Ringer> ringers = new ArrayList<>();
    private Machine machine;
    private VfioService vfio;
    private Container container;

    /** A device that interrupts without end, in a thread of its own: each time it waits for exactly one signal. */
    private final class Ringer implements Runnable {
        private final Device device;
        private final EventFd eventFd = vfio.eventFd();
        private final Thread thread = new Thread(this);
        private volatile long raised;
        private volatile String wrong = "";
        private volatile boolean stop;

        Ringer(Device device) {
            this.device = device;
            device.write(Region.CONFIG, 4, 2, 6);
            assertEquals(0, device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd)));
        }

        @Override
        public void run() {
            try {
                while (!stop && wrong.isEmpty()) {
                    raised++;
                    device.write(Region.BAR0, 0x60, 4, 1);
                    long signals = eventFd.read(5, TimeUnit.SECONDS);
                    if (signals != 1) {
                        wrong = device.name() + ": interrupt " + raised + " arrived " + signals + " times; "
                            + refusals() + " refused, "
                            + container.reason() + ", " + eventFd.read(5, TimeUnit.SECONDS) + " more after 5 s";
                    }
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private void end() throws InterruptedException {
            stop = true;
            thread.join();
            assertEquals("", wrong);
            assertEquals(0, eventFd.poll(), "one too many");
            assertTrue(raised > 0, "it never ran");
        }

        private AtomicLong refusals() {
            return refused.get(device.requester());
        }
    }

    @BeforeEach
    void board() throws Exception {
        machine = new FdtMachineSource().open("p4080.dtb", Files.readAllBytes(Path.of("boards", "p4080.dtb")),
            Map.of());
        Node iommu = node("fsl,pamu");
        Node pic = node("fsl,mpic");
        machine.attach(iommu, Pamu.unit(machine, iommu, PamuModel.DEFAULT));
        machine.attach(pic, new Mpic(MpicModel.of(machine, pic, 0), machine.cpus()).unit(pic));
        PamuDriver pamu = keep(new PamuDriver(machine, iommu, PamuSettings.DEFAULT));
        MpicDriver mpic = keep(new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (text, e) -> {
            throw new AssertionError(text, e);
        }));
        vfio = keep(new VfioService(machine));
        vfio.addIommu(pamu, "pamu");
        vfio.addController(mpic);
        vfio.addStrategy(new ReservedStrategy(), 100);
        List<MsiStrategy> strategies = List.of(new BankStrategy(), new WindowStrategy(), new TopDownStrategy(),
            new TailStrategy(), new FlagStrategy(), new FdStrategy());
        for (int i = 0; i < strategies.size(); i++) {
            vfio.addStrategy(strategies.get(i), -10 * i);
        }
        container = vfio.openContainer("guest");
        Set<Integer> requesters = new HashSet<>();
        List<String> devices = new ArrayList<>();
        for (Slot slot : machine.slots()) {
            if (slot.pcie() && requesters.add(slot.requester(0, 0).id())) {
                Edu edu = keep(new Edu(machine, slot, 0, 0, EduSettings.DEFAULT));
                vfio.addFunction(edu);
                container.addGroup(vfio.groupOf(edu.name()));
                devices.add(edu.name());
            }
        }
        requesters.forEach(id -> refused.put(id, new AtomicLong()));
        machine.onFault(fault -> refused.get(fault.requester()).incrementAndGet());
        container.setIommu("pamu");
        container.set(new Geometry(0, 512 * MIB));
        container.set(new Windows(8));
        try (DmaBuffer memory = machine.memory().allocate(256 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 256 * MIB, Access.READ_WRITE);
        }
        for (int i = 0; i < 3; i++) {
            container.as(Msis.class).call("MAP_MSI_BANK", i, 256 * MIB + i * 64 * MIB);
        }
        container.as(Msis.class).vectorPolicy(VectorPolicy.SPREAD);
        for (String name : devices) {
            ringers.add(new Ringer(vfio.groupOf(name).device(name)));
        }
        assertEquals(3, ringers.size());
    }

    @AfterEach
    void close() throws Exception {
        for (int i = resources.size() - 1; i >= 0; i--) {
            resources.get(i).close();
        }
    }

    @DisplayName("Every ordered pair of strategies, devices interrupting all the while: each interrupt arrives once")
    @Test
    void pairs() throws Exception {
        ringers.forEach(ringer -> ringer.thread.start());
        for (int round = 0; round < ROUNDS; round++) {
            for (String from : NAMES) {
                for (String to : NAMES) {
                    if (!from.equals(to)) {
                        move(from);
                        move(to);
                    }
                }
            }
        }
        for (Ringer ringer : ringers) {
            ringer.end();
            assertEquals(0, ringer.refusals().get());
        }
        assertTrue(vfio.as(Swaps.class).latest().stream().mapToLong(Swap::carried).sum() > 0,
            "no move met an interrupt");
        for (Ringer ringer : ringers) {
            ringer.device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, ringer.eventFd.poll());
        }
    }

    @DisplayName("MOVE_MSI_BANK: the user moves a bank's window to and fro under running interrupts: each arrives "
        + "once, data as before")
    @Test
    void window() throws Exception {
        List<MsiRoute> before = container.as(Msis.class).routes();
        ringers.forEach(ringer -> ringer.thread.start());
        for (int round = 0; round < 100; round++) {
            for (int bank = 0; bank < 3; bank++) {
                container.as(Msis.class).call("MOVE_MSI_BANK", bank, 256 * MIB + 3 * 64 * MIB);
                container.as(Msis.class).call("MOVE_MSI_BANK", bank, 256 * MIB + bank * 64 * MIB);
            }
        }
        for (Ringer ringer : ringers) {
            ringer.end();
        }
        assertEquals(before, container.as(Msis.class).routes());
        container.as(Msis.class).call("MOVE_MSI_BANK", 1, 0x1c000000);
        MsiRoute moved = container.as(Msis.class).routes().stream().filter(route -> route.bank() == 1).findFirst()
            .orElseThrow();
        assertEquals(0x1c000140, moved.address());
        assertEquals(Errno.EEXIST,
            assertThrows(ErrnoException.class, () -> container.as(Msis.class).call("MOVE_MSI_BANK", 1, 0x10000000))
                .errno());
        assertEquals(moved,
            container.as(Msis.class).routes().stream().filter(route -> route.bank() == 1).findFirst().orElseThrow());
    }

    @DisplayName("A strategy that leaves the banks where they are takes over without a single refusal")
    @Test
    void adopts() throws Exception {
        List<MsiPlacement> before = container.as(Msis.class).placements();
        List<MsiRoute> routes = container.as(Msis.class).routes();
        ringers.forEach(ringer -> ringer.thread.start());
        for (String name : List.of("flag", "fd", "bank", "fd", "flag", "bank")) {
            container.as(Msis.class).strategy(name);
            assertEquals(before, container.as(Msis.class).placements());
            assertEquals(routes, container.as(Msis.class).routes());
        }
        for (Ringer ringer : ringers) {
            ringer.end();
            assertEquals(0, ringer.refusals().get());
        }
        container.as(Msis.class).strategy("fd");
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> container.as(Msis.class).call("UNMAP_DMA_FD", 256 * MIB));
        assertEquals(Errno.EBUSY, e.errno());
    }

    @DisplayName("No room for the banks in use: EBUSY with the reason; strategy, placements, routes and interrupts "
        + "are as before")
    @Test
    void refused() {
        List<MsiPlacement> before = container.as(Msis.class).placements();
        List<MsiRoute> routes = container.as(Msis.class).routes();
        // tail wants windows 7, 6 and 5: one of them is memory now.
        try (DmaBuffer memory = machine.memory().allocate(64 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0x1c000000, memory, 0, 64 * MIB, Access.READ_WRITE);
        }
        ErrnoException e = assertThrows(ErrnoException.class, () -> container.as(Msis.class).strategy("tail"));
        assertEquals(Errno.EBUSY, e.errno());
        assertTrue(e.getMessage().contains("window 7 at"), e.getMessage());
        assertEquals("bank", container.as(Msis.class).strategy().orElseThrow());
        assertEquals(before, container.as(Msis.class).placements());
        assertEquals(routes, container.as(Msis.class).routes());
        for (Ringer ringer : ringers) {
            ringer.device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, ringer.eventFd.poll());
        }
        List<MsiChoice> choices = container.as(Msis.class).explain();
        assertEquals(List.of("reserved", "bank", "window", "topdown", "tail", "flag", "fd"),
            choices.stream().map(MsiChoice::name).toList());
        assertEquals(List.of("bank"), choices.stream().filter(MsiChoice::chosen).map(MsiChoice::name).toList());
        assertEquals(List.of("reserved", "window"), choices.stream().filter(choice -> !choice.assessment().feasible())
            .map(MsiChoice::name).toList());
        assertTrue(choices.stream().noneMatch(MsiChoice::preferred));
    }

    @DisplayName("window announces its range: reserved, missing in the valid ranges, EINVAL to map; its own banks go "
        + "there")
    @Test
    void announces() {
        container.as(Msis.class).strategy("window");
        ReservedRegion kept = new ReservedRegion(0x14000000, 0x1fffffff, ReservedRegion.Kind.SOFTWARE_MSI);
        assertTrue(container.reserved().contains(kept), container.reserved().toString());
        assertEquals(0x13ffffff, container.info().ranges().get(0).end());
        assertEquals(0x14000000, container.as(Msis.class).placements().get(0).iova());
        try (DmaBuffer memory = machine.memory().allocate(64 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class,
                () -> container.map(0x14000000, memory, 0, 64 * MIB, Access.READ_WRITE)).errno());
        }
        container.as(Msis.class).strategy("topdown");
        assertTrue(
            container.reserved().stream().noneMatch(region -> region.kind() == ReservedRegion.Kind.SOFTWARE_MSI));
    }

    private void move(String name) {
        container.as(Msis.class).strategy(name);
        assertEquals(name, container.as(Msis.class).strategy().orElseThrow());
        assertEquals("", container.reason());
        assertEquals(3, container.as(Msis.class).routes().size());
    }

    private <T extends AutoCloseable> T keep(T resource) {
        resources.add(resource);
        return resource;
    }

    private Node node(String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }
}
