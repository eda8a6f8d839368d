// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import irq.api.InterruptRemapping;
import java.util.List;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/**
 * Hardware that does not confirm what it is told, for a while or for good: nobody is let through, and no memory is used
 * again.
 */
class UnconfirmedTest {
    private static final int RW = Access.READ_WRITE;

    /** GSTS.WBFS never reads 0. */
    private static final Bench.Sick NEVER_FLUSHED = new Bench.Sick() {
        @Override
        public long read(Mmio registers, long offset, int size) {
            return registers.read(offset, size) | (offset == VtdRegisters.GSTS ? VtdRegisters.WBF : 0);
        }
    };

    private static VtdDriver driver(Bench bench) {
        return new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(20, 0, new Superpages(true, true), true, 256, false));
    }

    private static DmaBuffer memory(Bench bench) {
        return bench.machine.memory().allocate(4096, 4096, Layout.CONTIGUOUS);
    }

    private static void errno(Errno expected, Executable call) {
        assertEquals(expected, assertThrows(ErrnoException.class, call).errno());
    }

    @Test
    @DisplayName("P1: an attach that is not confirmed leaves no context entry, and its tables stay out of the pool "
        + "until a later one is")
    void attach() {
        attach(Bench.with(1 << 7, 0, 0, 0), Bench.DEAF);
        attach(Bench.with(1 << 4, 0, 0, 0), NEVER_FLUSHED);
    }

    private void attach(VtdSettings settings, Bench.Sick sick) {
        Bench bench = new Bench(settings);
        VtdDriver driver = driver(bench);
        DmaPort device = bench.port(0x10);
        DmaPort neighbour = bench.port(0x18);
        IommuDomain beside = driver.open();
        beside.attach(Bench.at(0x18));
        long before = bench.machine.memory().available();
        IommuDomain domain = driver.open();
        DmaBuffer buffer = memory(bench);
        domain.map(0x1000, buffer, 0, 4096, RW);
        long during = bench.machine.memory().available();
        bench.sick = sick;
        errno(Errno.ETIMEDOUT, () -> domain.attach(Bench.at(0x10)));
        assertEquals(Refusal.NO_REQUESTER, device.write(0x1000, 4, 0x4711));
        errno(Errno.ENOENT, () -> domain.detach(Bench.at(0x10)));
        errno(Errno.ETIMEDOUT, domain::close);
        assertEquals(during, bench.machine.memory().available(), "the unit may still walk them");
        errno(Errno.ENODEV, () -> domain.lookup(0x1000, Access.READ));
        IommuDomain other = driver.open();
        errno(Errno.ETIMEDOUT, () -> other.attach(Bench.at(0x10)));
        assertEquals(Refusal.NO_REQUESTER, device.write(0x1000, 4, 0x4711));
        assertEquals(Refusal.UNMAPPED, neighbour.write(0x1000, 4, 1), "who was attached is");

        bench.sick = null;
        other.attach(Bench.at(0x10));
        assertEquals(Refusal.UNMAPPED, device.write(0x1000, 4, 0x4711));
        other.close();
        domain.close();
        buffer.close();
        assertEquals(before, bench.machine.memory().available());
        driver.close();
    }

    @Test
    @DisplayName("P3: a domain whose close is not confirmed blocks everybody and keeps its tables; the next one's "
        + "making asks again")
    void close() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain first = driver.open();
        first.attach(Bench.at(0x10));
        first.close();
        long before = bench.machine.memory().available();
        DmaPort device = bench.port(0x10);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.attach(Bench.at(0x11));
        domain.map(0, memory(bench), 0, 4096, RW);
        assertEquals(Bus.OK, device.write(0, 4, 1), "the unit has seen context and tables");
        long during = bench.machine.memory().available();
        bench.sick = Bench.DEAF;
        errno(Errno.ETIMEDOUT, domain::close);
        assertEquals(Refusal.NO_REQUESTER, bench.port(0x11).write(0, 4, 1),
            "the second requester's entry is gone, too");
        errno(Errno.ETIMEDOUT, domain::close);
        IommuDomain other = driver.open();
        errno(Errno.ETIMEDOUT, () -> other.attach(Bench.at(0x10)));
        other.close();
        assertEquals(during, bench.machine.memory().available());
        bench.sick = null;
        driver.open();
        assertEquals(before - 2 * 4096, bench.machine.memory().available(),
            "the buffer, and the new domain's root table");
        assertEquals(Refusal.NO_REQUESTER, device.write(0, 4, 1));
    }

    @Test
    @DisplayName("P3: an unmap that is not confirmed says so; its tables go back with the next one that is")
    void unmap() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        long before = bench.machine.memory().available();
        DmaBuffer buffer = memory(bench);
        domain.map(0, buffer, 0, 4096, RW);
        long during = bench.machine.memory().available();
        bench.sick = Bench.DEAF;
        ErrnoException e = assertThrows(ErrnoException.class, () -> domain.unmap(0, 4096));
        assertEquals(Errno.ETIMEDOUT, e.errno());
        assertTrue(e.getMessage().contains("/drhd@fed90000"), e.getMessage());
        errno(Errno.ETIMEDOUT, () -> domain.unmap(0, 4096));
        assertEquals(during, bench.machine.memory().available());
        bench.sick = null;
        assertEquals(0, domain.unmap(0, 4096));
        buffer.close();
        assertEquals(before, bench.machine.memory().available());
    }

    @Test
    @DisplayName("P3: the memory of a map that is not confirmed is held until the unit has forgotten it, whoever "
        + "closes the buffer")
    void map() {
        Bench bench = new Bench(Bench.with(1 << 7, 0, 0, 0));
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        long before = bench.machine.memory().available();
        DmaBuffer buffer = memory(bench);
        bench.sick = Bench.DEAF;
        errno(Errno.ETIMEDOUT, () -> domain.map(0x1000, buffer, 0, 4096, RW));
        assertEquals(Refusal.UNMAPPED, bench.port(0x10).write(0x1000, 4, 1));
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x1000, Access.READ));
        buffer.close();
        assertEquals(before - 4 * 4096, bench.machine.memory().available(), "the buffer and three tables");
        bench.sick = null;
        assertEquals(0, domain.unmap(0x1000, 4096));
        assertEquals(before, bench.machine.memory().available());
    }

    @Test
    @DisplayName("P1: an interrupt remapping entry that is not confirmed is absent, and its index out of use until "
        + "it is")
    void remappingEntry() {
        Bench bench = new Bench(Bench.with(1 << 7, 0, 0, 0));
        InterruptRemapping remapping = driver(bench).remapping().get();
        int first = remapping.allocate(0x20, 0x41, 0);
        bench.sick = Bench.DEAF;
        errno(Errno.ETIMEDOUT, () -> remapping.allocate(0x10, 0x55, 0));
        DmaPort device = bench.port(0x10);
        for (int index = first + 1; index < 4; index++) {
            device.write(0xfee0_0018L | index << 5, 4, 0);
        }
        assertEquals(List.of(), bench.messages);
        errno(Errno.ETIMEDOUT, () -> remapping.release(first));
        errno(Errno.ETIMEDOUT, () -> remapping.release(first));
        bench.port(0x20).write(0xfee0_0000L + remapping.compose(first).offset(), 4, 0);
        assertEquals(List.of(), bench.messages, "absent in the table");
        bench.sick = null;
        assertEquals(first + 1, remapping.allocate(0x10, 0x56, 0));
        remapping.release(first);
        assertEquals(first, remapping.allocate(0x10, 0x57, 0));
    }

    @Test
    @DisplayName("P1: of several units each is told to forget an entry, whatever the first one answers")
    void remappingEntryOfSeveral() {
        Bench bench = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
        InterruptRemapping remapping = driver(bench).remapping().get();
        int index = remapping.allocate(0x0110, 0x41, 0);
        long address = 0xfee0_0000L + remapping.compose(index).offset();
        DmaPort device = bench.port(0x0110);
        device.write(address, 4, 0);
        assertEquals(1, bench.messages.size(), "the second unit has it in its cache");
        bench.sick = new Bench.Sick() {
            private boolean first = true;

            @Override
            public void write(Mmio registers, long offset, int size, long value) {
                if (offset == VtdRegisters.IQT && first) {
                    first = false;
                    throw new NoClassDefFoundError("the first unit's model");
                }
                registers.write(Bus.CPU, offset, size, value);
            }
        };
        assertThrows(NoClassDefFoundError.class, () -> remapping.release(index));
        device.write(address, 4, 0);
        assertEquals(1, bench.messages.size());
    }

    @Test
    @DisplayName("a driver that ends while the unit does not answer: what the unit may read is kept until other "
        + "hardware is in its place")
    void end() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        long start = bench.machine.memory().available();
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(20, 0, new Superpages(true, true), false, 256, false));
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        long during = bench.machine.memory().available();
        bench.sick = Bench.DEAF;
        errno(Errno.ETIMEDOUT, driver::close);
        assertEquals(during, bench.machine.memory().available());
        errno(Errno.EIO, domain::close);
        bench.sick = null;
        assertEquals(
            "EIO: /drhd@fed90000: its driver ended before the unit had confirmed an invalidation; the memory concerned "
                + "is kept until other hardware is in the unit's place: restart that",
            assertThrows(ErrnoException.class, domain::close).getMessage());
        bench.attachments.get(0).close();
        bench.plug(0, VtdSettings.DEFAULT);
        domain.close();
        assertEquals(start, bench.machine.memory().available());
    }

    @Test
    @DisplayName("the queue works again after somebody broke it, after a refused descriptor, and after an Error out "
        + "of the unit")
    void queueRecovers() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        DmaBuffer buffer = memory(bench);
        DmaPort device = bench.port(0x10);
        List<Runnable> ways = List.of(
            () -> {
                // Switched off, and led to where nothing is.
                bench.reg8(VtdRegisters.IQA, 0x2000_0000_0000L);
                bench.command(0, VtdRegisters.QIE);
            },
            () -> {
                // IQE, where no descriptor of ours is.
                bench.reg8(VtdRegisters.IQT, 0x7fff0);
            },
            () -> bench.sick = new Bench.Sick() {
                private int number;

                @Override
                public void write(Mmio registers, long offset, int size, long value) {
                    registers.write(Bus.CPU, offset, size, value);
                    if (offset == VtdRegisters.IQT && number++ == 0) {
                        throw new StackOverflowError();
                    }
                }
            });
        for (Runnable breaks : ways) {
            domain.map(0x1000, buffer, 0, 4096, RW);
            assertEquals(Bus.OK, device.write(0x1000, 4, 1));
            breaks.run();
            assertThrows(Throwable.class, () -> domain.unmap(0x1000, 4096));
            assertEquals(0, domain.unmap(0x1000, 4096));
            assertEquals(Refusal.UNMAPPED, device.write(0x1000, 4, 1));
            bench.sick = null;
        }
        domain.close();
        driver.close();
    }
}
