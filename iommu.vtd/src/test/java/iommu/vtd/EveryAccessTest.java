// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import irq.api.InterruptRemapping;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaPort;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * The driver's life, again and again, with an Error out of the first, second, third, ... of its accesses to tables and
 * registers: what it did before is undone, what is asked once more works, and no memory goes back too early or never.
 */
class EveryAccessTest {
    private static final int RW = Access.READ_WRITE;
    private static final long MIB2 = 2L << 20;

    /** Throws at one access, before or after it has had its effect. */
    private static final class Trap implements Bus {
        private final Bus bus;
        private final boolean after;
        private long left = -1;
        private boolean sprung;

        Trap(Bus bus, boolean after) {
            this.bus = bus;
            this.after = after;
        }

        private boolean now() {
            if (left < 0 || left-- > 0) {
                return false;
            }
            sprung = true;
            if (!after) {
                throw new NoClassDefFoundError("at an access");
            }
            return true;
        }

        private static void end(boolean now) {
            if (now) {
                throw new NoClassDefFoundError("after an access");
            }
        }

        @Override
        public long read(long physical, int size) {
            boolean now = now();
            long value = bus.read(physical, size);
            end(now);
            return value;
        }

        @Override
        public int write(int requester, long physical, int size, long value) {
            boolean now = now();
            int status = bus.write(requester, physical, size, value);
            end(now);
            return status;
        }

        @Override
        public int read(long physical, byte[] to, int offset, int length) {
            boolean now = now();
            int status = bus.read(physical, to, offset, length);
            end(now);
            return status;
        }

        @Override
        public int write(int requester, long physical, byte[] from, int offset, int length) {
            boolean now = now();
            int status = bus.write(requester, physical, from, offset, length);
            end(now);
            return status;
        }

        @Override
        public void sync() {
            boolean now = now();
            bus.sync();
            end(now);
        }

        @Override
        public Attachment attach(long physical, long size, Mmio window) {
            return bus.attach(physical, size, window);
        }
    }

    private interface Step {
        void take();
    }

    /** Takes a step, and once more if it threw. {@return whether it threw} */
    private static boolean insist(Step step) {
        try {
            step.take();
            return false;
        } catch (NoClassDefFoundError e) {
            step.take();
            return true;
        }
    }

    /** One life. {@return whether the trap has sprung} */
    private static boolean life(VtdSettings settings, boolean after, int number) {
        Bench bench = new Bench(new VtdSettings(settings.capabilities(), 46, true, true, 1024));
        Trap trap = new Trap(bench.bus, after);
        long start = bench.machine.memory().available();
        DmaBuffer buffer = bench.machine.memory().allocate(2 * MIB2, MIB2, Layout.CONTIGUOUS);
        DmaPort device = bench.port(0x10);
        VtdDriver driver = new VtdDriver(bench.through(trap), bench.nodes,
            new VtdDriverSettings(1000, 0, new Superpages(true, true), true, 256, false));
        List<IommuDomain> domains = new ArrayList<>(List.of(driver.open(), driver.open()));
        IommuDomain domain = domains.get(0);
        trap.left = number;

        attach(domain, device, 0x10);
        map(domain, device, MIB2, buffer, 0, MIB2);
        map(domain, device, 2 * MIB2, buffer, 0x3000, 0x3000);
        unmap(domain, device, 2 * MIB2, 0x3000);
        unmap(domain, device, MIB2 + 0x5000, 0x1000);
        assertEquals(Bus.OK, device.write(MIB2 + 0x4000, 4, 1), "the neighbours are as they were");
        assertEquals(Bus.OK, device.write(MIB2 + 0x6000, 4, 1));
        map(domain, device, MIB2 + 0x5000, buffer, MIB2, 0x1000);
        map(domain, device, 0x7000, buffer, 0, 0x1000);

        insist(() -> domain.detach(Bench.at(0x10)));
        assertEquals(Refusal.NO_REQUESTER, device.write(0x7000, 4, 1));
        IommuDomain other = domains.get(1);
        attach(other, device, 0x10);
        assertEquals(Refusal.UNMAPPED, device.write(0x7000, 4, 1), "nothing of its last domain is left");
        map(other, device, 0x7000, buffer, 0x3000, 0x1000);
        device.write(0x7000, 4, 0x1234_5678);
        assertEquals(0x1234_5678, bench.bus.read(buffer.physical(0x3000), 4));
        interrupts(bench, driver, device);
        domains.forEach(each -> insist(each::close));
        assertEquals(Refusal.NO_REQUESTER, device.write(0x7000, 4, 1));
        boolean dirty = false;
        try {
            driver.close();
        } catch (NoClassDefFoundError e) {
            dirty = true;
        }
        assertEquals(Refusal.NO_REQUESTER, device.write(0x7000, 4, 1));
        buffer.close();
        if (!dirty) {
            assertEquals(start - 4096, bench.machine.memory().available(), "one page of zeroes stays with the unit");
        } else {
            assertTrue(bench.machine.memory().available() < start - 4096, "what the unit may still read is kept");
        }
        bench.attachments.get(0).close();
        bench.plug(0, settings);
        // Of the table of remapped interrupts nobody knows any more when the driver did not end well.
        assertEquals(start - (dirty && driver.remapping().isPresent() ? 4096 : 0), bench.machine.memory().available(),
            "with the hardware all goes");
        return trap.sprung;
    }

    private static void attach(IommuDomain domain, DmaPort device, int requester) {
        try {
            domain.attach(Bench.at(requester));
        } catch (NoClassDefFoundError e) {
            assertEquals(Refusal.NO_REQUESTER, device.write(MIB2, 4, 1), "an attach that threw has attached nobody");
            domain.attach(Bench.at(requester));
        }
        assertEquals(Refusal.UNMAPPED, device.write(MIB2, 4, 1));
    }

    private static void map(IommuDomain domain, DmaPort device, long iova, DmaBuffer buffer, long offset, long length) {
        try {
            domain.map(iova, buffer, offset, length, RW);
        } catch (NoClassDefFoundError e) {
            for (long at = 0; at < length; at += 0x1000) {
                assertEquals(Refusal.UNMAPPED, device.write(iova + at, 4, 1), "a map that threw has mapped nothing");
            }
            domain.map(iova, buffer, offset, length, RW);
        }
        assertEquals(Bus.OK, device.write(iova, 4, 1));
        assertEquals(Bus.OK, device.write(iova + length - 4, 4, 1));
    }

    private static void unmap(IommuDomain domain, DmaPort device, long iova, long length) {
        insist(() -> domain.unmap(iova, length));
        assertEquals(Refusal.UNMAPPED, device.write(iova, 4, 1));
        assertEquals(Refusal.UNMAPPED, device.write(iova + length - 4, 4, 1));
    }

    private static void interrupts(Bench bench, VtdDriver driver, DmaPort device) {
        if (driver.remapping().isEmpty()) {
            return;
        }
        InterruptRemapping remapping = driver.remapping().get();
        int index;
        try {
            index = remapping.allocate(0x10, 0x41, 0);
        } catch (NoClassDefFoundError e) {
            for (int any = 0; any < 4; any++) {
                device.write(0xfee0_0018L | any << 5, 4, 0);
            }
            assertEquals(List.of(), bench.messages, "an entry that came to nothing is absent");
            index = remapping.allocate(0x10, 0x41, 0);
        }
        assertEquals(0, index, "and can be had again");
        long address = 0xfee0_0000L + remapping.compose(index).offset();
        assertEquals(Bus.OK, device.write(address, 4, 0));
        assertEquals(1, bench.messages.size());
        int taken = index;
        insist(() -> remapping.release(taken));
        device.write(address, 4, 0);
        assertEquals(1, bench.messages.size());
    }

    /** @param both at each access before and after its effect, or before and after in turn */
    private static void sweep(VtdSettings settings, boolean both) {
        int number = 0;
        boolean sprung = true;
        for (; sprung; number++) {
            for (boolean after : both ? new boolean[] {false, true} : new boolean[] {number % 2 == 1}) {
                try {
                    sprung = life(settings, after, number);
                } catch (Throwable e) {
                    throw new AssertionError("an Error " + (after ? "after" : "at") + " access " + number, e);
                }
            }
        }
        assertTrue(number > 300, number + " accesses: the trap has gone blind");
    }

    @Test
    @DisplayName("P1: an Error out of any access: queue, remapping, superpages")
    void modern() {
        sweep(VtdSettings.DEFAULT, true);
    }

    @Test
    @DisplayName("P1: an Error out of any access: caching mode")
    void cachingMode() {
        sweep(Bench.with(1 << 7, 0, 0, 0), false);
    }

    @Test
    @DisplayName("P1: an Error out of any access: write buffer to be flushed")
    void writeBuffer() {
        sweep(Bench.with(1 << 4, 0, 0, 0), false);
    }

    @Test
    @DisplayName("P1: an Error out of any access: caching mode, invalidation by registers")
    void registers() {
        sweep(Bench.with(1 << 7, 0, 0, 0xa), false);
    }
}
