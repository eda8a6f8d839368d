// SPDX-License-Identifier: Apache-2.0
package iommu.type1;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.type1.unit.VtdSettings;
import irq.api.InterruptRemapping;
import irq.api.MsiMessage;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Messages composed by the driver, sent by devices, remapped by the unit. */
class Type1RemappingTest {
    private static Type1Driver driver(Bench bench, int entries) {
        return new Type1Driver(bench.machine, bench.nodes, new Type1Settings(1000, 0, new Superpages(true, true), true, entries, false));
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
        Type1Driver driver = driver(bench, 4096);
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
    @DisplayName("no remapping where a unit lacks it")
    void absent() {
        assertTrue(driver(new Bench(VtdSettings.DEFAULT, Bench.with(0, 0, 0, 8)), 256).remapping().isEmpty());
    }

    private static void send(Bench bench, int requester, MsiMessage message) {
        bench.port(requester).write(0xfee00000L + message.offset(), 4, message.data());
    }
}
