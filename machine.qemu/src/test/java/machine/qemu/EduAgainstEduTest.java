// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import device.edu.EduSettings;
import iommu.vtd.VtdDriver;
import iommu.vtd.VtdDriverSettings;
import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import irq.apic.ApicDriver;
import irq.apic.unit.LapicUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import machine.api.Access;
import machine.api.Board;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Machine;
import machine.api.Node;
import machine.api.PciFunction;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;
import machine.qemu.process.Installed;
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
import vfio.container.VfioService;
import vfio.msi.ReservedStrategy;

/**
 * device.edu and QEMU's edu side by side: one description of the machine, one set of drivers, one script, through VFIO
 * as a program would. What a program can see is compared after each step: registers, memory, interrupts, and what the
 * IOMMU recorded.
 */
@Installed
@Timeout(120)
class EduAgainstEduTest {
    private static final long SEED = Long.getLong("gantry.seed", System.nanoTime());
    private static final int STEPS = Integer.getInteger("gantry.edu.steps", 600);
    private static final int PAGE = 4096;
    private static final long SHARED = 0x10_0000;
    private static final long READ_ONLY = 0x20_0000;
    private static final long NOTHING = 0x30_0000;
    private static final long BUFFER = 0x40000;
    /** QEMU 7.2 aborts when a transfer ends with the last byte of the buffer. */
    private static final int USED = 4095;
    private static final int STATUS = 0x20;
    private static final int INTERRUPTS = 0x24;
    private static final int COMMAND = 0x98;
    private static final long PATIENCE = 10_000_000_000L;

    /** One machine with everything on it, up to a program's view of the device. */
    private static final class Side implements AutoCloseable {
        private final String name;
        private final Machine machine;
        private final List<AutoCloseable> resources = new ArrayList<>();
        private final Container container;
        private final VfioService vfio;
        private final VtdDriver iommu;
        private final Device device;
        private final DmaBuffer shared;
        private final DmaBuffer readOnly;
        private final EventFd eventFd;
        private long signals;

        Side(String name, Machine machine, PciFunction function) {
            this.name = name;
            this.machine = machine;
            resources.add(machine);
            iommu = keep(new VtdDriver(machine, List.of(node(machine, "intel,vt-d")), VtdDriverSettings.DEFAULT));
            ApicDriver apic = keep(
                new ApicDriver(machine, node(machine, "intel,lapic"), iommu.remapping(), (what, cause) -> {
                throw new AssertionError(what, cause);
            }));
            vfio = keep(new VfioService(machine));
            vfio.addIommu(iommu, "type1");
            vfio.addController(apic);
            vfio.addStrategy(new ReservedStrategy(), 0);
            vfio.addFunction(function);
            eventFd = vfio.eventFd();
            container = keep(vfio.openContainer("guest"));
            container.addGroup(vfio.groupOf(function.name()));
            container.setIommu("type1v2");
            shared = keep(machine.memory().allocate(4 * PAGE, PAGE, Layout.SCATTERED));
            readOnly = keep(machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS));
            container.map(SHARED, shared, 0, shared.size(), Access.READ_WRITE);
            container.map(READ_ONLY, readOnly, 0, PAGE, Access.READ);
            device = vfio.groupOf(function.name()).device(function.name());
            device.write(Region.CONFIG, 4, 2, 6);
        }

        private <T extends AutoCloseable> T keep(T resource) {
            resources.add(resource);
            return resource;
        }

        long signals() {
            signals += eventFd.poll();
            return signals;
        }

        /** Waits until a bit of a register is as wanted. */
        void await(int register, int size, int bit, int wanted) {
            long until = System.nanoTime() + PATIENCE;
            while ((device.read(Region.BAR0, register, size) & bit) != wanted) {
                assertTrue(System.nanoTime() < until, () -> name + " does not come to an end");
            }
        }

        @Override
        public void close() {
            for (int i = resources.size() - 1; i >= 0; i--) {
                try {
                    resources.get(i).close();
                } catch (Exception e) {
                    throw new AssertionError(name, e);
                }
            }
        }
    }

    private Side ours;
    private Side theirs;
    private final List<String> script = new ArrayList<>();

    private static Node node(Machine machine, String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }

    @BeforeEach
    void start() {
        QemuMachine qemu = (QemuMachine) new QemuMachineSource().open("qemu:q35", new byte[0], Map.of());
        PciFunction function = qemu.functions().get(0);
        // The same description, and models of ours at its nodes.
        LocalMachine local = new LocalMachine(new Board("ours", List.of(new Node.Range(0, 512L << 20)),
            List.of(new Node.Range(16L << 20, 496L << 20)), qemu.nodes(), qemu.slots(), 1, List.of()));
        PhysicalBus bus = local.bus();
        Node vtd = node(local, "intel,vt-d");
        local.attach(vtd, new VtdUnit(bus, VtdSettings.DEFAULT, vtd.registers().get(0).physical()).plug(vtd.path()));
        Node lapic = node(local, "intel,lapic");
        local.attach(lapic, new LapicUnit(lapic, local.cpus()).unit());
        theirs = new Side("QEMU's", qemu, function);
        device.edu.Edu edu = new device.edu.Edu(local, local.slots().get(0), 3, 0, new EduSettings(-1, 0));
        ours = new Side("ours", local, edu);
        ours.resources.add(1, edu);
    }

    @AfterEach
    void stop() {
        for (Side side : Arrays.asList(ours, theirs)) {
            if (side != null) {
                side.close();
            }
        }
    }

    private String told() {
        return "seed " + SEED + ", after\n  "
            + String.join("\n  ", script.subList(Math.max(0, script.size() - 25), script.size())) + "\n";
    }

    /** Does the same on both and compares what it gave. */
    private void both(String what, Function<Side, Object> step) {
        script.add(what);
        assertEquals(String.valueOf(step.apply(theirs)), String.valueOf(step.apply(ours)), this::told);
    }

    private void interrupts() {
        long until = System.nanoTime() + PATIENCE;
        while (ours.signals() != theirs.signals() && System.nanoTime() < until) {
            Thread.onSpinWait();
        }
        assertEquals(theirs.signals(), ours.signals(), () -> "interrupts, " + told());
    }

    /**
     * What a refused read leaves in the buffer: ones, as of a failed completion, and zeroes in QEMU's. Then both hold
     * the same again.
     */
    private void refusedRead(int at, int bytes) {
        transfer(BUFFER + at, SHARED, bytes, 3);
        for (Side side : List.of(ours, theirs)) {
            byte[] left = new byte[bytes];
            side.shared.read(0, left, 0, bytes);
            byte[] expected = new byte[bytes];
            Arrays.fill(expected, (byte) (side == ours ? -1 : 0));
            assertEquals(Arrays.toString(expected), Arrays.toString(left), this::told);
        }
        transfer(READ_ONLY, BUFFER + at, bytes, 1);
        transfer(BUFFER + at, SHARED, bytes, 3);
        memory();
    }

    private void write(int offset, int size, long value) {
        both(String.format("write 0x%02x+%d 0x%x", offset, size, value), side -> {
            side.device.write(Region.BAR0, offset, size, value);
            return "";
        });
    }

    private void registers() {
        both("registers", side -> {
            StringBuilder all = new StringBuilder();
            for (int offset : new int[] {0x00, 0x04, 0x08, 0x20, 0x24, 0x80, 0x88, 0x90, 0x98}) {
                all.append(
                    String.format("%02x=%x ", offset, side.device.read(Region.BAR0, offset, offset < 0x80 ? 4 : 8)));
            }
            return all;
        });
    }

    private void transfer(long from, long to, int bytes, int command) {
        script.add(String.format("transfer 0x%x -> 0x%x, %d bytes, command %d", from, to, bytes, command));
        for (Side side : List.of(ours, theirs)) {
            side.device.write(Region.BAR0, 0x80, 8, from);
            side.device.write(Region.BAR0, 0x88, 8, to);
            side.device.write(Region.BAR0, 0x90, 8, bytes);
            side.device.write(Region.BAR0, COMMAND, 8, command);
            side.await(COMMAND, 8, 1, 0);
        }
        List<String> seen = recorded(theirs);
        // QEMU 7.2 blocks a write to a read-only page that its IOTLB holds, but records nothing.
        boolean silent = to >= READ_ONLY && to < READ_ONLY + PAGE && seen.isEmpty();
        assertEquals(silent ? "[0x18 0x200000 0x05 write: no write permission]" : seen.toString(),
            recorded(ours).toString(), this::told);
        interrupts();
    }

    private static List<String> recorded(Side side) {
        return side.iommu.violations().stream()
            .map(one -> String.format("0x%x 0x%x %s", one.requester(), one.iova(), one.reason()))
            .toList();
    }

    private void memory() {
        both("memory", side -> {
            byte[] bytes = new byte[(int) side.shared.size()];
            side.shared.read(0, bytes, 0, bytes.length);
            return Arrays.toString(bytes);
        });
    }

    /**
     * Accesses of 1 and 2 bytes are refused by both; what a refused read gives is the bus's to say, and QEMU's gives
     * zeroes.
     */
    @DisplayName("Config space, every register with every access size it takes, and a reset look the same to a program")
    @Test
    void faces() {
        both("config space", side -> {
            StringBuilder all = new StringBuilder();
            for (int offset = 0; offset < 0x100; offset += 4) {
                all.append(String.format("%02x=%08x ", offset, side.device.read(Region.CONFIG, offset, 4)));
            }
            return all;
        });
        both("size of BAR 0", side -> {
            side.device.write(Region.CONFIG, 0x10, 4, 0xffff_ffffL);
            return side.device.read(Region.CONFIG, 0x10, 4);
        });
        both("regions and interrupts", side -> side.device.regions() + " " + side.device.irqs());
        for (int offset = 0; offset < 0xc0; offset += 4) {
            for (int size : new int[] {4, 8}) {
                if (offset % size == 0) {
                    int at = offset;
                    both(String.format("read 0x%02x+%d", offset, size),
                        side -> Long.toHexString(side.device.read(Region.BAR0, at, size)));
                }
            }
        }
        write(0x04, 4, 0x1234_5678);
        write(0x80, 8, 0x1122_3344_5566_7788L);
        write(0x88, 4, 0x99aa_bbccL);
        registers();
        // A transfer leaves its command without the run bit; QEMU's has no reset, so the host clears what it can.
        transfer(SHARED, BUFFER, 16, 1);
        write(0x20, 4, 0x80);
        both("reset", side -> {
            side.device.reset();
            side.device.write(Region.CONFIG, 4, 2, 6);
            return Long.toHexString(side.device.read(Region.BAR0, 0x20, 4)) + " "
                + side.device.read(Region.BAR0, 0x24, 4) + " "
                + side.device.read(Region.BAR0, 0x80, 8) + " " + side.device.read(Region.BAR0, 0x90, 8);
        });
    }

    @DisplayName("A random script of registers, factorials, transfers and interrupts gives the same on both, faults "
        + "among it")
    @Test
    void script() throws InterruptedException {
        SplittableRandom random = new SplittableRandom(SEED);
        for (DmaBuffer buffer : List.of(ours.shared, theirs.shared, ours.readOnly, theirs.readOnly)) {
            byte[] bytes = new byte[(int) buffer.size()];
            new SplittableRandom(SEED + buffer.size()).nextBytes(bytes);
            buffer.write(0, bytes, 0, bytes.length);
        }
        // Whatever QEMU left in its buffer.
        transfer(READ_ONLY, BUFFER, USED, 1);
        boolean msi = false;
        for (int step = 0; step < STEPS; step++) {
            switch (random.nextInt(10)) {
                case 0 -> write(0x04, 4, random.nextInt());
                case 1 -> {
                    boolean interrupt = random.nextBoolean();
                    write(0x64, 4, 1);
                    write(STATUS, 4, interrupt ? 0x80 : 0);
                    write(0x08, 4, random.nextInt(20));
                    for (Side side : List.of(ours, theirs)) {
                        side.await(STATUS, 4, 1, 0);
                        if (interrupt) {
                            // QEMU clears the computing bit before it raises the interrupt.
                            side.await(INTERRUPTS, 4, 1, 1);
                        }
                    }
                    interrupts();
                }
                case 2 -> {
                    write(0x60, 4, 1L << random.nextInt(12));
                    interrupts();
                }
                case 3 -> write(0x64, 4, random.nextBoolean() ? 0xffff : 1L << random.nextInt(12));
                case 4 -> write(new int[] {0x80, 0x88, 0x90, 0x98}[random.nextInt(4)], random.nextBoolean() ? 8 : 4,
                    random.nextLong() & ~1L);
                case 5 -> {
                    boolean on = msi;
                    both(on ? "MSI off" : "MSI on", side -> side.device.setIrqs(on ? IrqSet.disable(Irq.MSI)
                        : IrqSet.eventFds(Irq.MSI, 0, side.eventFd)));
                    msi = !on;
                }
                default -> {
                    boolean out = random.nextBoolean();
                    int at = random.nextInt(USED);
                    // QEMU 7.2 aborts at a transfer of nothing, too.
                    int bytes = 1 + random.nextInt(USED - at);
                    long place = switch (random.nextInt(8)) {
                        case 0 -> NOTHING + random.nextInt(PAGE);
                        case 1 -> READ_ONLY + random.nextInt(PAGE - bytes);
                        default -> SHARED + random.nextInt(4 * PAGE - bytes);
                    };
                    int command = 1 | (out ? 2 : 0) | (random.nextInt(4) == 0 ? 4 : 0);
                    transfer(out ? BUFFER + at : place, out ? place : BUFFER + at, bytes, command);
                    if (out) {
                        memory();
                    } else if (place >= NOTHING) {
                        refusedRead(at, bytes);
                    }
                }
            }
            registers();
        }
        transfer(BUFFER, SHARED + 100, USED, 3);
        memory();
        Thread.sleep(100);
        interrupts();
    }
}
