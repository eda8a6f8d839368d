// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.unit.VtdSettings;
import irq.api.InterruptRemapping;
import irq.api.MsiMessage;
import java.util.Arrays;
import java.util.List;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Messages composed by the driver, sent by devices, remapped by the unit. */
class VtdRemappingTest {
    private static VtdDriver driver(Bench bench, int entries) {
        return new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(1000, 0, new Superpages(true, true), true, entries, false));
    }

    private static void errno(Errno expected, Runnable call) {
        assertEquals(expected, assertThrows(ErrnoException.class, call::run).errno());
    }

    @Test
    @DisplayName("VT-d 6.2: index 0x1234 is composed as 0xfee24698, data 0; index 0x8001 has handle bit 15 in bit 2")
    void compose() {
        InterruptRemapping remapping = driver(new Bench(VtdSettings.DEFAULT), 65536).remapping().get();
        for (int i = 0; i <= 0x8001; i++) {
            assertEquals(i, remapping.allocate(0x10, 0x41, 3));
        }
        assertEquals(new MsiMessage(0, 0x24698, 0), remapping.compose(0x1234));
        assertEquals(new MsiMessage(0, 0x3c, 0), remapping.compose(0x8001));
    }

    @Test
    @DisplayName("a message arrives at its APIC, only from its requester, only while allocated, behind every unit")
    void delivery() {
        Bench bench = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench, 4096);
        InterruptRemapping remapping = driver.remapping().get();
        int first = remapping.allocate(0x0010, 0x41, 3);
        int second = remapping.allocate(0x0110, 0x42, 0x103);
        send(bench, 0x0010, remapping.compose(first));
        send(bench, 0x0110, remapping.compose(second));
        assertEquals(new Bench.Message(0x10, 0xfee03000L, 0x41), bench.messages.get(0));
        assertEquals(new Bench.Message(0x110, 0xfee03020L, 0x42), bench.messages.get(1));
        send(bench, 0x0011, remapping.compose(first));
        assertEquals(2, bench.messages.size());
        assertEquals("0x26 interrupt from another source", driver.violations().get(0).reason());
        MsiMessage old = remapping.compose(first);
        remapping.release(first);
        send(bench, 0x0010, old);
        assertEquals(2, bench.messages.size());
        assertEquals("0x22 interrupt entry not present", driver.violations().get(0).reason());
        driver.close();
        send(bench, 0x0110, new MsiMessage(0, old.offset() + (1 << 5), 0));
        bench.port(0x10).write(0xfee03000L, 4, 0x41);
        assertEquals(2, bench.messages.size(), "after the driver has gone all are blocked");
    }

    @Test
    @DisplayName("VT-d: in caching mode a new entry is made known, too")
    void cachingMode() {
        Bench bench = new Bench(Bench.with(1 << 7, 0, 0, 0));
        InterruptRemapping remapping = driver(bench, 256).remapping().get();
        bench.port(0x10).write(0xfee00018L, 4, 0);
        send(bench, 0x10, remapping.compose(remapping.allocate(0x10, 0x41, 3)));
        assertEquals(1, bench.messages.size());
    }

    @Test
    @DisplayName("errno: vector, destination, requester, full table, unknown index")
    void errnos() {
        InterruptRemapping remapping = driver(new Bench(Bench.with(0, 0, 0, 1 << 4)), 256).remapping().get();
        errno(Errno.EINVAL, () -> remapping.allocate(0x10, 15, 0));
        errno(Errno.EINVAL, () -> remapping.allocate(0x10, 256, 0));
        errno(Errno.EINVAL, () -> remapping.allocate(0x10, 32, 256));
        errno(Errno.EINVAL, () -> remapping.allocate(0x10, 32, -1));
        errno(Errno.EINVAL, () -> remapping.allocate(0x10000, 32, 0));
        for (int i = 0; i < 256; i++) {
            remapping.allocate(0x10, 32, 255);
        }
        errno(Errno.ENOSPC, () -> remapping.allocate(0x10, 32, 0));
        remapping.release(77);
        errno(Errno.ENOENT, () -> remapping.release(77));
        errno(Errno.ENOENT, () -> remapping.compose(77));
        errno(Errno.ENOENT, () -> remapping.compose(-1));
        assertEquals(77, remapping.allocate(0x10, 32, 0));
    }

    @Test
    @DisplayName("a released entry is absent, whichever it is, and its neighbours go on; the index is free, its "
        + "source id forgotten")
    void released() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench, 256);
        InterruptRemapping remapping = driver.remapping().get();
        int[] index = new int[4];
        for (int i = 0; i < 4; i++) {
            index[i] = remapping.allocate(0x10, 0x40 + i, 0);
        }
        MsiMessage old = remapping.compose(index[2]);
        remapping.release(index[2]);
        send(bench, 0x10, old);
        assertEquals(List.of(), bench.messages);
        assertEquals("0x22 interrupt entry not present", driver.violations().get(0).reason());
        long entry = (bench.reg8(0xb8) & -4096) + 16 * index[2];
        assertEquals(0, bench.bus.read(entry, 8) | bench.bus.read(entry + 8, 8));
        for (int i : new int[] {0, 1, 3}) {
            send(bench, 0x10, remapping.compose(index[i]));
        }
        assertEquals(List.of(0x40L, 0x41L, 0x43L), bench.messages.stream().map(Bench.Message::data).toList());
    }

    @Test
    @DisplayName("VT-d 6.1: the table ends where its memory does: IRTA.S, and an index behind it is refused, "
        + "whatever lies there")
    void tableEnds() {
        for (int entries : new int[] {256, 4096}) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            VtdDriver driver = driver(bench, entries);
            assertEquals(entries, 2 << (bench.reg8(0xb8) & 0xf));
            long behind = (bench.reg8(0xb8) & -4096) + entries * 16;
            bench.mem(behind + 8, 0);
            bench.mem(behind, 0x0031_0001L);
            send(bench, 0x10, new MsiMessage(0, entries << 5 | 0x18, 0));
            assertEquals(List.of(), bench.messages);
            assertEquals("0x21 interrupt index beyond the table", driver.violations().get(0).reason());
        }
    }

    @Test
    @DisplayName("P2: a table in memory that nobody has zeroed: no entry is present")
    void dirtyTable() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        DmaBuffer all = bench.machine.memory().allocate(1 << 16, 4096, Layout.CONTIGUOUS);
        for (long at = 0; at < 1 << 16; at += 16) {
            bench.mem(all.physical(at), 0x0031_0001L);
            bench.mem(all.physical(at + 8), 0);
        }
        long end = all.physical(0) + (1 << 16);
        all.close();
        VtdDriver driver = driver(bench, 256);
        assertTrue((bench.reg8(0xb8) & -4096) < end, "the table lies where the dirt is");
        for (int index = 0; index < 256; index++) {
            send(bench, 0x10, new MsiMessage(0, index << 5 | 0x18, 0));
        }
        assertEquals(List.of(), bench.messages);
        assertEquals("0x22 interrupt entry not present", driver.violations().get(0).reason());
    }

    @Test
    @DisplayName("P2: compatibility format that somebody left open (CFI) is shut: a device would ring any vector by it")
    void compatibilityFormatIsShut() {
        // EIME shuts it by itself, so a unit without.
        Bench bench = new Bench(Bench.with(0, 0, 0, 1 << 4));
        bench.command(1L << 23, 0);
        assertEquals(1L << 23, bench.reg(0x1c), "CFI as it was left");
        driver(bench, 256);
        assertEquals(0, bench.reg(0x1c) & 1L << 23);
        bench.port(0x10).write(0xfee00000L, 4, 0x31);
        assertEquals(List.of(), bench.messages);
    }

    @Test
    @DisplayName("P3: the driver's close returns when a message that was let through has arrived, of a requester in "
        + "no domain, too")
    void closeDrains() throws InterruptedException {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench, 256);
        InterruptRemapping remapping = driver.remapping().get();
        MsiMessage message = remapping.compose(remapping.allocate(0x10, 0x41, 0));
        Thread device = new Thread(() -> send(bench, 0x10, message));
        Thread core = new Thread(driver::close);
        // The ear at 0xfee00000 cannot take it down.
        synchronized (bench.messages) {
            device.start();
            while (device.getState() != Thread.State.BLOCKED
                    || Arrays.stream(device.getStackTrace())
                    .noneMatch(frame -> frame.getClassName().startsWith(Bench.class.getName() + "$"))) {
                Thread.onSpinWait();
            }
            core.start();
            while (core.isAlive() && core.getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            assertTrue(core.isAlive(), "the message is still under way");
        }
        core.join();
        device.join();
        assertEquals(1, bench.messages.size());
    }

    @Test
    @DisplayName("no remapping where a unit lacks it")
    void absent() {
        assertTrue(driver(new Bench(VtdSettings.DEFAULT, Bench.with(0, 0, 0, 8)), 256).remapping().isEmpty());
    }

    private static void send(Bench bench, int requester, MsiMessage message) {
        bench.port(requester).write(0xfee00000L + message.offset(), 4, message.data());
    }
}
