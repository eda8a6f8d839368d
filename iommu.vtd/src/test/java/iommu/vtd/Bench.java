// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Machine;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Unit;
import machine.fixture.TestBoard;
import machine.fixture.TestSlot;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;

/** A machine with 3 GiB of memory, VT-d units from 0xfed90000 on, and an ear where the local APIC is. */
public final class Bench {
    public static final long BASE = 0xfed90000L;

    /** A message that arrived at 0xfee00000. */
    public record Message(int requester, long address, long data) {
    }

    /** Stands between software and the registers of a unit that does not behave. */
    public interface Sick {
        default long read(Mmio registers, long offset, int size) {
            return registers.read(offset, size);
        }

        default void write(Mmio registers, long offset, int size, long value) {
            registers.write(Bus.CPU, offset, size, value);
        }
    }

    /** The invalidation queue is told of new descriptors and does not look at them. */
    public static final Sick DEAF = new Sick() {
        @Override
        public void write(Mmio registers, long offset, int size, long value) {
            if (offset != VtdRegisters.IQT || value == 0) {
                registers.write(Bus.CPU, offset, size, value);
            }
        }
    };

    /** All units, while it is there. */
    public volatile Sick sick;

    public final PhysicalBus bus;
    public final LocalMachine machine;
    public final List<Node> nodes = new ArrayList<>();
    public final List<VtdUnit> units = new ArrayList<>();
    public final List<Attachment> attachments = new ArrayList<>();
    public final List<Message> messages = new ArrayList<>();

    public Bench(VtdSettings... settings) {
        this(Duration.ofSeconds(5), settings);
    }

    /** @param patience how long accesses under way are waited for */
    public Bench(Duration patience, VtdSettings... settings) {
        List<Slot> slots = new ArrayList<>();
        for (int i = 0; i < settings.length; i++) {
            long base = BASE + 0x1000L * i;
            int number = i;
            nodes.add(Node.at(at(i, 0).unit()).compatible("intel,vt-d").registers(new Node.Range(base, 0x1000)));
            // Each bus of the segment is behind the unit of that number.
            slots.add(TestSlot.of("pci" + i, String.format("0000:%02x", i),
                place -> at(number, number << 8 | place)));
        }
        machine = TestBoard.named("bench").memory(0, 0xc000_0000L).free(0x0100_0000L, 0xa000_0000L).nodes(nodes)
            .nodes(Node.at("/rmrr@bf000000").compatible("intel,rmrr").registers(new Node.Range(0xbf000000L, 0x200000))
                .with("requesters", 0x00e8, 0x0010)).slots(slots).machine(patience);
        bus = machine.bus();
        bus.attach(0xfee00000L, 0x100000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                synchronized (messages) {
                    messages.add(new Message(requester, 0xfee00000L + offset, value));
                }
            }
        });
        for (int i = 0; i < settings.length; i++) {
            plug(i, settings[i]);
        }
    }

    public void plug(int number, VtdSettings settings) {
        VtdUnit unit = new VtdUnit(bus, settings, BASE + 0x1000L * number);
        units.add(unit);
        Unit plug = unit.plug(nodes.get(number).path());
        List<Unit.Window> windows = new ArrayList<>(plug.windows());
        windows.set(0,
            new Unit.Window(windows.get(0).physical(), windows.get(0).size(), filtered(windows.get(0).mmio())));
        attachments.add(machine.attach(nodes.get(number), new Unit(windows, plug.translations(), plug.inputs())));
    }

    private Mmio filtered(Mmio registers) {
        return new Mmio() {
            @Override
            public long read(long offset, int size) {
                Sick now = sick;
                return now == null ? registers.read(offset, size) : now.read(registers, offset, size);
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                Sick now = sick;
                if (now == null || requester != Bus.CPU) {
                    registers.write(requester, offset, size, value);
                } else {
                    now.write(registers, offset, size, value);
                }
            }
        };
    }

    /** {@return the machine, with a bus that its drivers reach everything through} */
    public Machine through(Bus other) {
        Class<?>[] what = {Machine.class};
        return (Machine) Proxy.newProxyInstance(Machine.class.getClassLoader(), what, (proxy, method, arguments) -> {
            if (method.getName().equals("bus")) {
                return other;
            }
            try {
                return method.invoke(machine, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    /** {@return who has that source id behind the first unit} */
    public static Requester at(int source) {
        return at(0, source);
    }

    /** {@return who has that source id behind a unit} */
    public static Requester at(int unit, int source) {
        return new Requester(source, String.format("/drhd@%x", BASE + 0x1000L * unit), unit);
    }

    public DmaPort port(int source) {
        return machine.openPort(at(source >>> 8 < nodes.size() ? source >>> 8 : 0, source));
    }

    public long reg(int offset) {
        return bus.read(BASE + offset, 4);
    }

    public long reg8(int offset) {
        return bus.read(BASE + offset, 8);
    }

    public void reg(int offset, long value) {
        bus.write(BASE + offset, 4, value);
    }

    public void reg8(int offset, long value) {
        bus.write(BASE + offset, 8, value);
    }

    public void mem(long address, long value) {
        bus.write(address, 8, value);
    }

    /** One shot or level: GSTS, plus this. */
    public void command(long set, long clear) {
        reg(0x18, reg(0x1c) & 0x96ffffffL & ~clear | set);
    }

    /** Capabilities of the default unit with bits changed. */
    public static VtdSettings with(long capSet, long capClear, long ecapSet, long ecapClear) {
        VtdCapabilities c = VtdSettings.DEFAULT.capabilities();
        return new VtdSettings(new VtdCapabilities(c.cap() & ~capClear | capSet, c.ecap() & ~ecapClear | ecapSet), 46,
            true, true, 1 << 17);
    }

    /** 3, 4 or 5 levels only. */
    public static VtdSettings levels(int levels) {
        long width = 12 + 9 * levels - 1L;
        return with(1L << 8 + levels - 2 | width << 16, 0x3f_1f00L, 0, 0);
    }

    public static Random random(String test) {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println(test + ": -Dgantry.seed=" + seed);
        return new Random(seed);
    }
}
