// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.FaultListener;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.Slot;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Counts the driver's bus accesses. */
class MappingCostTest {
    private static final long PAGE = 4096;

    private static final class CountingBus implements Bus {
        final Bus bus;
        long accesses;

        CountingBus(Bus bus) {
            this.bus = bus;
        }

        @Override
        public long read(long physical, int size) {
            accesses++;
            return bus.read(physical, size);
        }

        @Override
        public int write(int requester, long physical, int size, long value) {
            accesses++;
            return bus.write(requester, physical, size, value);
        }

        @Override
        public int read(long physical, byte[] to, int offset, int length) {
            accesses++;
            return bus.read(physical, to, offset, length);
        }

        @Override
        public int write(int requester, long physical, byte[] from, int offset, int length) {
            accesses++;
            return bus.write(requester, physical, from, offset, length);
        }

        @Override
        public void sync() {
            bus.sync();
        }

        @Override
        public Attachment attach(long physical, long size, Mmio window) {
            return bus.attach(physical, size, window);
        }
    }

    /** The bench's machine with the counting bus in front. */
    private record CountedMachine(Machine machine, CountingBus bus) implements Machine {
        @Override
        public String model() {
            return machine.model();
        }

        @Override
        public DmaMemory memory() {
            return machine.memory();
        }

        @Override
        public List<Node> nodes() {
            return machine.nodes();
        }

        @Override
        public List<Slot> slots() {
            return machine.slots();
        }

        @Override
        public List<Cpu> cpus() {
            return machine.cpus();
        }

        @Override
        public Attachment attach(Node node, Unit unit) {
            return machine.attach(node, unit);
        }

        @Override
        public Holds holds() {
            return machine.holds();
        }

        @Override
        public boolean ready(Node node) {
            return machine.ready(node);
        }

        @Override
        public Attachment onReady(Consumer<Node> listener) {
            return machine.onReady(listener);
        }

        @Override
        public DmaPort openPort(Slot slot, int device, int function) {
            return machine.openPort(slot, device, function);
        }

        @Override
        public PolledLine line(Wire wire, BooleanSupplier level) {
            return machine.line(wire, level);
        }

        @Override
        public Attachment onFault(FaultListener listener) {
            return machine.onFault(listener);
        }
    }

    @Test
    @DisplayName("the cost of map and unmap in bus accesses is the same with 0 and with 200,000 mappings "
        + "(-Dgantry.mappings=1000000)")
    void costDoesNotGrow() {
        int mappings = Integer.getInteger("gantry.mappings", 200_000);
        Bench bench = new Bench(VtdSettings.DEFAULT);
        CountingBus bus = new CountingBus(bench.bus);
        VtdDriver driver = new VtdDriver(new CountedMachine(bench.machine, bus), bench.nodes,
            VtdDriverSettings.DEFAULT);
        DmaBuffer buffer = bench.machine.memory().allocate(2 * PAGE, PAGE, DmaMemory.Layout.CONTIGUOUS);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.map(1L << 40, buffer, 0, PAGE, Access.READ_WRITE);
        long available = bench.machine.memory().available();
        long[] empty = probe(domain, bus, buffer);
        long begin = System.nanoTime();
        for (int i = 0; i < mappings; i++) {
            domain.map(i * PAGE, buffer, i % 2 * PAGE, PAGE, Access.READ_WRITE);
        }
        double micros = (System.nanoTime() - begin) / 1e3 / mappings;
        long tables = (available - bench.machine.memory().available()) / PAGE;
        assertTrue(tables <= mappings / 512 + mappings / 262144 + 3, tables + " tables for " + mappings + " mappings");
        long[] full = probe(domain, bus, buffer);
        assertEquals(empty[0], full[0], "map");
        assertEquals(empty[1], full[1], "unmap");
        assertTrue(full[0] <= 10 && full[1] <= 20, full[0] + " accesses to map, " + full[1] + " to unmap");
        begin = System.nanoTime();
        for (int i = 0; i < mappings; i++) {
            assertEquals(PAGE, domain.unmap(i * PAGE, PAGE));
        }
        System.out.printf(
            "MappingCostTest: %d mappings, %.2f us per map (%d accesses), %.2f us per unmap (%d accesses), %d tables%n",
            mappings, micros, full[0], (System.nanoTime() - begin) / 1e3 / mappings, full[1], tables);
        assertEquals(available, bench.machine.memory().available());
    }

    /** Accesses to map and to unmap a page beside one that is mapped. */
    private static long[] probe(IommuDomain domain, CountingBus bus, DmaBuffer buffer) {
        long before = bus.accesses;
        domain.map((1L << 40) + PAGE, buffer, 0, PAGE, Access.READ_WRITE);
        long mapped = bus.accesses;
        domain.unmap((1L << 40) + PAGE, PAGE);
        return new long[] {mapped - before, bus.accesses - mapped};
    }
}
