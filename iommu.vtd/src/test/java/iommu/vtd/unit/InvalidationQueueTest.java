// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.vtd.Bench;
import machine.api.Access;
import machine.api.Refusal;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Descriptors as literals in a ring at 0x110000; status at 0x112000. */
class InvalidationQueueTest {
    private Bench bench;
    private int tail;

    @BeforeEach
    void start() {
        bench = new Bench(VtdSettings.DEFAULT);
        bench.mem(0x100000, 0x101001);
        bench.mem(0x101108, 0x502);
        bench.mem(0x101100, 0x102001);
        bench.mem(0x102000, 0x103003);
        bench.mem(0x103008, 0x104003);
        bench.mem(0x104008, 0x105003);
        bench.mem(0x105008, 0x7000003);
        bench.mem(0x105010, 0x7001003);
        bench.reg8(0x20, 0x100000);
        bench.command(0x40000000L, 0);
        bench.command(0x80000000L, 0);
        bench.reg8(0x90, 0x110000);
        bench.command(0x04000000L, 0);
    }

    private void put(long low, long high) {
        bench.mem(0x110000 + tail, low);
        bench.mem(0x110008 + tail, high);
        tail = (tail + 16) % 4096;
    }

    private long go(long iova) {
        return bench.units.get(0).translate(0x10, iova, 4, Access.READ);
    }

    @Test
    @DisplayName("VT-d 4: a wait descriptor writes its data when what comes before is done; head follows tail")
    void waitWrites() {
        assertEquals(0xc4000000L, bench.reg(0x1c));
        put(0x12, 0);
        put(0xbeefL << 32 | 0x25, 0x112000);
        bench.reg8(0x88, tail);
        assertEquals(0xbeef, bench.bus.read(0x112000, 4));
        assertEquals(32, bench.reg8(0x80));
        assertEquals(32, bench.reg8(0x88));
    }

    @Test
    @DisplayName("VT-d 4: the ring wraps")
    void wraps() {
        for (int i = 0; i < 1000; i++) {
            put((long) i << 32 | 0x25, 0x112000);
            bench.reg(0x88, tail);
            assertEquals(i, bench.bus.read(0x112000, 4));
        }
        assertEquals(1000 % 256 * 16, bench.reg(0x80));
    }

    @Test
    @DisplayName("VT-d 4: IOTLB and context descriptors of each granularity")
    void granularities() {
        go(0x40201000L);
        go(0x40202000L);
        bench.mem(0x105008, 0x9000003);
        bench.mem(0x105010, 0x9001003);
        put(0x32 | 5 << 16, 0x40201000L);
        bench.reg(0x88, tail);
        assertEquals(0x9000000, go(0x40201000L));
        assertEquals(0x7001000, go(0x40202000L));
        put(0x22 | 6 << 16, 0);
        bench.reg(0x88, tail);
        assertEquals(0x7001000, go(0x40202000L));
        put(0xe2 | 5 << 16, 0);
        bench.reg(0x88, tail);
        assertEquals(0x9001000, go(0x40202000L), "domain with DR and DW");
        bench.mem(0x101100, 0);
        put(0x31 | 5 << 16 | 0x11L << 32, 0);
        bench.reg(0x88, tail);
        assertEquals(0x9000000, go(0x40201000L), "another source id");
        put(0x31 | 5 << 16 | 0x10L << 32, 0);
        bench.reg(0x88, tail);
        assertEquals(Refusal.NO_REQUESTER, go(0x40201000L));
    }

    @ParameterizedTest
    @DisplayName("VT-d 4: a malformed descriptor sets IQE and stops the queue at it; it goes on when IQE is cleared, "
        + "without another IQT")
    @ValueSource(longs = {0x0, 0x6, 0x7, 0xf, 0x3, 0x1, 0x2, 0x12 | 1 << 8, 0x11 | 1 << 6, 0x14 | 1 << 5,
        0x25 | 1 << 7, 0x32 | 1L << 40})
    void errors(long low) {
        bench.reg(0x3c, 0x42);
        bench.reg(0x40, 0xfee01000L);
        bench.reg(0x38, 0);
        put(0x12, 0);
        put(low, 0);
        put(1L << 32 | 0x25, 0x112000);
        bench.reg(0x88, tail);
        assertEquals(0x10, bench.reg(0x34));
        assertEquals(16, bench.reg(0x80));
        assertEquals(0, bench.bus.read(0x112000, 4));
        assertEquals(1, bench.messages.size(), "IQE is a fault event");
        bench.reg(0x88, tail);
        assertEquals(16, bench.reg(0x80), "stopped");
        bench.mem(0x110010, 0x12);
        bench.reg(0x34, 0x10);
        assertEquals(1, bench.bus.read(0x112000, 4));
        assertEquals(0, bench.reg(0x34));
    }

    @Test
    @DisplayName("VT-d 4: a device TLB's invalidation is taken where there are such, without reserved bits")
    void deviceTlb() {
        bench = new Bench(Bench.with(0, 0, 1 << 2, 0));
        bench.reg8(0x90, 0x110000);
        bench.command(0x04000000L, 0);
        tail = 0;
        put(3 | 0x1fL << 16 | 0x18L << 32, 0x7000001);
        bench.reg(0x88, tail);
        assertEquals(16, bench.reg(0x80));
        assertEquals(0, bench.reg(0x34));
        for (long[] bad : new long[][] {{3 | 1 << 4, 0}, {3 | 1 << 21, 0}, {3 | 1L << 48, 0}, {3, 2}, {3, 1 << 11}}) {
            bench.mem(0x110010, bad[0]);
            bench.mem(0x110018, bad[1]);
            bench.reg(0x88, 32);
            assertEquals(0x10, bench.reg(0x34));
            bench.reg(0x34, 0x10);
        }
    }

    @Test
    @DisplayName("VT-d 4: a mask above MAMV, a tail beyond the ring, a ring without memory, wide descriptors: IQE")
    void moreErrors() {
        put(0x32 | 5 << 16, 19);
        bench.reg(0x88, tail);
        assertEquals(0x10, bench.reg(0x34));
        bench.mem(0x110000, 0x12);
        bench.reg(0x34, 0x10);
        bench.reg(0x88, tail);
        assertEquals(16, bench.reg(0x80));
        bench.reg(0x88, 0x1000);
        assertEquals(0x10, bench.reg(0x34));
        for (long iqa : new long[] {0x2000_0000_0000L, 0x110800}) {
            bench.reg(0x34, 0x10);
            bench.reg(0x88, 16);
            bench.command(0, 0x04000000L);
            bench.reg8(0x90, iqa);
            bench.reg(0x88, 0);
            bench.command(0x04000000L, 0);
            bench.reg(0x88, 16);
            assertEquals(0x10, bench.reg(0x34));
            bench.reg(0x88, 0);
        }
    }

    @Test
    @DisplayName("VT-d 4: QIE stays on while the queue is not empty; off, register invalidation works, on, it does "
        + "nothing")
    void enableProtocol() {
        put(0, 0);
        bench.reg(0x88, tail);
        bench.command(0, 0x04000000L);
        assertEquals(0xc4000000L, bench.reg(0x1c));
        bench.reg8(0xf8, 1L << 63 | 1L << 60);
        assertEquals(1L << 60, bench.reg8(0xf8), "IAIG 0: not performed");
        bench.reg(0x88, 0);
        bench.command(0, 0x04000000L);
        assertEquals(0xc0000000L, bench.reg(0x1c));
        bench.reg8(0xf8, 1L << 63 | 1L << 60);
        assertEquals(1L << 60 | 1L << 57, bench.reg8(0xf8));
    }

    @Test
    @DisplayName("VT-d 4: a wait descriptor with IF sets IWC and sends the invalidation event once until IWC is "
        + "cleared")
    void waitInterrupts() {
        bench.reg(0xa4, 0x43);
        bench.reg(0xa8, 0xfee02000L);
        bench.reg(0xa0, 0);
        put(0x15, 0);
        put(0x15, 0);
        bench.reg(0x88, tail);
        assertEquals(1, bench.reg(0x9c));
        assertEquals(1, bench.messages.size());
        assertEquals(new Bench.Message(0xffff, 0xfee02000L, 0x43), bench.messages.get(0));
        bench.reg(0x9c, 1);
        assertEquals(0, bench.reg(0x9c));
        put(0x15, 0);
        bench.reg(0x88, tail);
        assertEquals(2, bench.messages.size());
    }

    @Test
    @DisplayName("VT-d 4: what lies before the tail when the queue is switched on is fetched at once, also from a "
        + "ring at address 0")
    void switchedOnWithTail() {
        bench.command(0, 0x04000000L);
        bench.reg8(0x90, 0);
        bench.mem(0, 7L << 32 | 0x25);
        bench.mem(8, 0x112000);
        bench.reg(0x88, 16);
        assertEquals(0, bench.reg(0x80));
        bench.command(0x04000000L, 0);
        assertEquals(16, bench.reg(0x80));
        assertEquals(7, bench.bus.read(0x112000, 4));
    }

    @Test
    @DisplayName("VT-d 4: AM is legal up to MAMV; with a tail behind the ring nothing is fetched")
    void lastOfAll() {
        put(0x32 | 5 << 16, 18);
        bench.reg(0x88, tail);
        assertEquals(0, bench.reg(0x34));
        assertEquals(16, bench.reg(0x80));
        put(0x12, 0);
        bench.reg(0x88, 0x1000);
        assertEquals(0x10, bench.reg(0x34));
        assertEquals(16, bench.reg(0x80));
    }

    @Test
    @DisplayName("VT-d 4: IP of the invalidation event falls when IWC is cleared; the mask that falls then sends "
        + "nothing")
    void waitBehindTheMask() {
        bench.reg(0xa4, 0x43);
        bench.reg(0xa8, 0xfee02000L);
        put(0x15, 0);
        bench.reg(0x88, tail);
        assertEquals(0xc0000000L, bench.reg(0xa0));
        bench.reg(0x9c, 0);
        assertEquals(0xc0000000L, bench.reg(0xa0), "writing 0 clears nothing");
        bench.reg(0x9c, 1);
        assertEquals(0x80000000L, bench.reg(0xa0));
        bench.reg(0xa0, 0);
        assertEquals(0, bench.messages.size());
    }
}
