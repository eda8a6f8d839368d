// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import java.time.Duration;
import java.util.ArrayList;
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
import machine.local.LocalMachine;
import machine.local.PhysicalBus;
import machine.local.Ram;

/** A P4080 reduced to what a PAMU needs: 16 GiB of memory, guts, PAMUs, MSI pages, caches, an interrupt input. */
final class Board {
    static final long CCSR = 0xf_fe00_0000L;
    static final long PAMU = CCSR + 0x20000;
    static final long BYPASS = CCSR + 0xe0604;
    static final String PATH = "/soc/iommu@20000";
    static final Wire WIRE = new Wire("/soc/pic@40000", 24, true, "24 2 0 0");

    final LocalMachine machine;
    final PhysicalBus bus;
    final TestNode node;
    final Unit unit;
    final Attachment plugged;
    final List<Long> rung = new CopyOnWriteArrayList<>();
    final AtomicInteger level = new AtomicInteger();
    /** Runs as a level-sensitive interrupt does: inside the access, on one thread at a time, and again while the level is there. */
    volatile Runnable handler;

    Board() {
        this(2, PamuModel.DEFAULT);
    }

    Board(int instances, PamuModel model) {
        this(instances, model, Duration.ofSeconds(5));
    }

    /** @param patience how long accesses under way are waited for */
    Board(int instances, PamuModel model, Duration patience) {
        bus = new PhysicalBus(List.of(new Ram(0, 1L << 34)), patience);
        node = TestNode.pamu(PATH, PAMU, instances, List.of(WIRE, new Wire(WIRE.controller(), 16, true, "16 2 1 30")));
        TestNode pic = TestNode.of(WIRE.controller(), "fsl,mpic", 0, 0);
        List<Node> nodes = new ArrayList<>(List.of(node, pic,
            TestNode.of("/soc/global-utilities@e0000", "fsl,qoriq-device-config-1.0", CCSR + 0xe0000, 0xe00),
            TestNode.of("/cpus/cpu@0", "", 0, 0).with(Map.of("device_type", "cpu", "reg", new int[] {0, 1},
                "cache-stash-id", new int[] {0x21}, "next-level-cache", new int[] {7})),
            TestNode.of("/cpus/cpu@2", "", 0, 0).with(Map.of("device_type", "cpu", "reg", new int[] {2})),
            TestNode.of("/cpus/l2", "cache", 0, 0).with(Map.of("phandle", new int[] {7}, "cache-stash-id", new int[] {0x22})),
            TestNode.of("/soc/l3", "fsl,p4080-l3-cache-controller", 0, 0).with(Map.of("cache-stash-id", new int[] {0x1ff}))));
        nodes.addAll(node.children());
        machine = new LocalMachine("fsl,P4080DS", bus, List.of(new Node.Range(0x10_0000, (1L << 34) - 0x10_0000)), nodes,
            List.of(), 1);
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

    DmaPort port(int liodn) {
        return machine.openPort(new Requester(liodn, path(0), 0));
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
