// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaPort;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Requester;
import machine.api.TranslationUnit;
import machine.api.Unit;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;

/** A P4080 reduced to what a PAMU needs: 16 GiB of memory, guts, PAMUs, MSI pages, caches, an interrupt input. */
final class Board {
    static final long CCSR = 0xf_fe00_0000L;
    static final long PAMU = CCSR + 0x20000;
    static final long BYPASS = CCSR + 0xe0604;
    static final String PATH = "/soc/iommu@20000";
    static final Wire WIRE = new Wire("/soc/pic@40000", 24, true, "24 2 0 0");

    final LocalMachine machine;
    final PhysicalBus bus;
    final Node node;
    final Unit unit;
    final Attachment plugged;
    final List<Long> rung = new CopyOnWriteArrayList<>();
    final AtomicInteger level = new AtomicInteger();
    /**
     * Runs as a level-sensitive interrupt does: inside the access, on one thread at a time, and again while the level
     * is there.
     */
    volatile Runnable handler;

    /** {@return an iommu node with its instances} */
    static Node pamu(String path, long physical, int instances) {
        Node[] children = new Node[instances];
        for (int i = 0; i < instances; i++) {
            children[i] = Node.at(path + "/pamu@" + Integer.toHexString(i * 0x1000))
                .registers(new Node.Range(physical + i * 0x1000L, 0x1000));
        }
        return Node.at(path).compatible("fsl,pamu-v1.0", "fsl,pamu")
            .registers(new Node.Range(physical, instances * 0x1000L))
            .children(children);
    }

    Board() {
        this(2, PamuModel.DEFAULT);
    }

    Board(int instances, PamuModel model) {
        this(instances, model, Duration.ofSeconds(5));
    }

    /** @param patience how long accesses under way are waited for */
    Board(int instances, PamuModel model, Duration patience) {
        node = pamu(PATH, PAMU, instances).interrupts(WIRE, new Wire(WIRE.controller(), 16, true, "16 2 1 30"));
        Node pic = Node.at(WIRE.controller()).compatible("fsl,mpic");
        machine = TestBoard
            .named("fsl,P4080DS").memory(0, 1L << 34).free(0x10_0000, (1L << 34) - 0x10_0000).nodes(node, pic,
            Node.at("/soc/global-utilities@e0000").compatible("fsl,qoriq-device-config-1.0")
                .registers(new Node.Range(CCSR + 0xe0000, 0xe00)),
            Node.at("/cpus/cpu@0").with("device_type", "cpu").with("reg", 0, 1).with("cache-stash-id", 0x21)
                    .with("next-level-cache", 7),
            Node.at("/cpus/cpu@2").with("device_type", "cpu").with("reg", 2),
            Node.at("/cpus/l2").compatible("cache").with("phandle", 7).with("cache-stash-id", 0x22),
            Node.at("/soc/l3").compatible("fsl,p4080-l3-cache-controller").with("cache-stash-id", 0x1ff))
            .machine(patience);
        bus = machine.bus();
        Cpu cpu = machine.cpus().get(0);
        InterruptInputs inputs = new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                level.set(input == 24 && asserted ? 1 : 0);
            }

            @Override
            public void settle() {
                cpu.pin(level.get() == 1);
            }
        };
        cpu.attach(() -> {
            cpu.pin(false);
            Runnable now = handler;
            if (now != null) {
                now.run();
                inputs.settle();
            }
        });
        machine.attach(pic, new Unit(List.of(), Map.of(), inputs));
        bus.attach(CCSR + 0x44000, 0x4000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                rung.add(CCSR + 0x44000 + offset);
            }
        });
        unit = Pamu.unit(machine, node, model);
        plugged = machine.attach(node, unit);
    }

    PamuDriver driver() {
        return new PamuDriver(machine, node, PamuSettings.DEFAULT);
    }

    TranslationUnit pamu(int instance) {
        return unit.translations().get(path(instance));
    }

    static String path(int instance) {
        return PATH + "/pamu@" + Integer.toHexString(instance * 0x1000);
    }

    /** {@return who has that LIODN behind the first PAMU} */
    static Requester at(int liodn) {
        return at(0, liodn);
    }

    /** {@return who has that LIODN behind a PAMU} */
    static Requester at(int instance, int liodn) {
        return new Requester(liodn, path(instance), 0);
    }

    DmaPort port(int liodn) {
        return machine.openPort(at(liodn));
    }

    long write(int liodn, long iova) {
        return pamu(0).translate(liodn, iova, 4, Access.WRITE);
    }

    long read(int liodn, long iova) {
        return pamu(0).translate(liodn, iova, 4, Access.READ);
    }

    int register(int instance, int offset) {
        return word(PAMU + instance * 0x1000L + offset);
    }

    void register(int instance, int offset, int value) {
        word(PAMU + instance * 0x1000L + offset, value);
    }

    long register64(int instance, int offset) {
        return (long) register(instance, offset) << 32 | register(instance, offset + 4) & 0xffff_ffffL;
    }

    int word(long physical) {
        return Integer.reverseBytes((int) bus.read(physical, 4));
    }

    void word(long physical, int value) {
        bus.write(Bus.CPU, physical, 4, Integer.reverseBytes(value));
    }

    /** The eight words of an entry that mean something, in hex. */
    String entry(long physical) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 8; i++) {
            text.append(i == 0 ? "" : " ").append(String.format("%08x", word(physical + 4 * i)));
        }
        for (int i = 8; i < 16; i++) {
            if (word(physical + 4 * i) != 0) {
                text.append(" reserved word ").append(i).append(" is not zero");
            }
        }
        return text.toString();
    }

    /** Writes the words at the start of an entry. */
    void entry(long physical, String words) {
        String[] each = words.split(" ");
        for (int i = 0; i < each.length; i++) {
            word(physical + 4 * i, (int) Long.parseLong(each[i], 16));
        }
    }

    String primary(int liodn) {
        return entry(register64(0, 0x00) + 64L * liodn);
    }

    String secondary(int index) {
        return entry(register64(0, 0x10) + 64L * index);
    }
}
