// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.vtd.Bench;
import java.util.List;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Mmio;
import machine.api.Refusal;
import machine.local.PhysicalBus;
import machine.local.Ram;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Invalidations at the worst moment, made on purpose: the bus lets software change an entry and invalidate just after
 * the unit has read the old one. What the walk found may be used for that access, but must not be served to the next.
 */
@Timeout(20)
class InvalidationRaceTest {
    private static final int SID = 0x10;
    private static final long IOVA = 0x40201000L;

    private final PhysicalBus memory = new PhysicalBus(List.of(new Ram(0, 16 << 20)));
    private long watched = -1;
    private int skipped;
    private Runnable change;
    private VtdUnit unit;
    private Mmio registers;

    private final Bus bus = new Bus() {
        @Override
        public long read(long physical, int size) {
            long value = memory.read(physical, size);
            if (physical == watched && --skipped < 0) {
                watched = -1;
                change.run();
            }
            return value;
        }

        @Override
        public int write(int requester, long physical, int size, long value) {
            return memory.write(requester, physical, size, value);
        }

        @Override
        public int read(long physical, byte[] to, int offset, int length) {
            throw new AssertionError();
        }

        @Override
        public int write(int requester, long physical, byte[] from, int offset, int length) {
            throw new AssertionError();
        }

        @Override
        public void sync() {
        }

        @Override
        public Attachment attach(long physical, long size, Mmio window) {
            throw new AssertionError();
        }
    };

    @BeforeEach
    void start() {
        unit = new VtdUnit(bus, VtdSettings.DEFAULT, Bench.BASE);
        registers = unit.plug("/drhd").windows().get(0).mmio();
        memory.write(0x100000, 8, 0x101001);
        memory.write(0x101108, 8, 0x502);
        memory.write(0x101100, 8, 0x102001);
        memory.write(0x102000, 8, 0x103003);
        memory.write(0x103008, 8, 0x104003);
        memory.write(0x104008, 8, 0x105003);
        memory.write(0x105008, 8, 0x7000003);
        register(0x20, 0x100000);
        registers.write(Bus.CPU, 0x18, 4, 0x40000000L);
        registers.write(Bus.CPU, 0x18, 4, 0x80000000L);
    }

    private void register(int offset, long value) {
        registers.write(Bus.CPU, offset, 8, value);
    }

    private long go() {
        return unit.translate(SID, IOVA, 4, Access.READ);
    }

    private void when(long read, Runnable what) {
        watched = read;
        skipped = 0;
        change = what;
    }

    private void whenAgain(long read, Runnable what) {
        when(read, what);
        skipped = 1;
    }

    private void page() {
        register(0xf0, IOVA);
        register(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
    }

    @Test
    @DisplayName("VT-d 4: a walk begun before a page-selective invalidation leaves nothing in the IOTLB")
    void pageSelective() {
        when(0x105008, () -> {
            memory.write(0x105008, 8, 0x8000003);
            page();
        });
        assertEquals(0x7000000, go(), "in flight");
        assertEquals(0x8000000, go());
        memory.write(0x105008, 8, 0x9000003);
        assertEquals(0x8000000, go(), "what was walked after it is cached");
    }

    @Test
    @DisplayName("VT-d 3.4: a context that becomes pass-through between its first look and the walk lets the access "
        + "pass as it is")
    void passThroughMeanwhile() {
        whenAgain(0x101100, () -> {
            memory.write(0x101100, 8, 0x9);
            register(0x28, 1L << 63 | 1L << 61);
        });
        assertEquals(IOVA, go());
        assertEquals(IOVA, go());
    }

    @Test
    @DisplayName("VT-d 4: nor in front of the IOTLB, where a page comes that is used again and again")
    void recentPage() {
        for (long to = 0x7000000; to < 0x7800000; to += 0x100000) {
            memory.write(0x105008, 8, to | 3);
            page();
            for (int i = 0; i < 4; i++) {
                assertEquals(to, go());
            }
            page();
            long next = to + 0x100000;
            when(0x105008, () -> {
                memory.write(0x105008, 8, next | 3);
                page();
            });
            assertEquals(to, go(), "in flight");
            assertEquals(next, go());
            assertEquals(next, go());
        }
    }

    @Test
    @DisplayName("VT-d 4: whatever is invalidated, TE and SRTP too: nothing in front of the IOTLB is served any more")
    void everyInvalidation() {
        long[] to = {0x7000000};
        Runnable[] ways = {this::page, () -> register(0xf8, 1L << 63 | 2L << 60 | 5L << 32),
            () -> register(0xf8, 1L << 63 | 1L << 60)};
        for (Runnable way : ways) {
            for (int i = 0; i < 4; i++) {
                assertEquals(to[0], go());
            }
            to[0] += 0x100000;
            memory.write(0x105008, 8, to[0] | 3);
            way.run();
            assertEquals(to[0], go());
        }
        for (long granularity = 1; granularity <= 3; granularity++) {
            for (int i = 0; i < 4; i++) {
                assertEquals(to[0], go());
            }
            memory.write(0x101100, 8, 0);
            register(0x28, 1L << 63 | granularity << 61 | SID << 16 | 5);
            assertEquals(Refusal.NO_REQUESTER, go());
            memory.write(0x101100, 8, 0x102001);
        }
        for (int i = 0; i < 4; i++) {
            assertEquals(to[0], go());
        }
        registers.write(Bus.CPU, 0x18, 4, 0);
        assertEquals(Refusal.BLOCKED, go());
        registers.write(Bus.CPU, 0x18, 4, 0x80000000L);
        for (int i = 0; i < 4; i++) {
            assertEquals(to[0], go());
        }
    }

    @Test
    @DisplayName("VT-d 3.14: a superpage over the interrupt range, or onto it, does not hide it, however often it is "
        + "used")
    void superpageAndInterrupts() {
        memory.write(0x103018, 8, 0x106003);
        memory.write(0x106fb8, 8, 0x7000083);
        memory.write(0x104010, 8, 0xfee00083L);
        for (int i = 0; i < 4; i++) {
            assertEquals(0x7100000, unit.translate(SID, 0xfef00000L, 4, Access.READ));
        }
        for (int i = 0; i < 4; i++) {
            assertEquals(Refusal.MALFORMED, unit.translate(SID, 0x40400000L, 4, Access.WRITE),
                "onto the interrupt range");
            assertEquals(0xfef00000L, unit.translate(SID, 0x40500000L, 4, Access.WRITE));
        }
        assertEquals(unit.translate(0x20, 0xfee00000L, 4, Access.WRITE),
            unit.translate(SID, 0xfee00000L, 4, Access.WRITE), "the range answers alike for all");
    }

    @Test
    @DisplayName("VT-d 4: nor one begun before a domain-selective or global invalidation, for superpages as well")
    void domainAndGlobal() {
        when(0x105008, () -> {
            memory.write(0x105008, 8, 0x8000003);
            register(0xf8, 1L << 63 | 2L << 60 | 5L << 32);
        });
        go();
        assertEquals(0x8000000, go());
        register(0xf8, 1L << 63 | 1L << 60);
        memory.write(0x104008, 8, 0x7000083);
        when(0x104008, () -> {
            memory.write(0x104008, 8, 0x8000083);
            register(0xf8, 1L << 63 | 1L << 60);
        });
        assertEquals(0x7001000, go());
        assertEquals(0x8001000, go());
        register(0xf8, 1L << 63 | 1L << 60);
        when(0x104008, () -> {
            memory.write(0x104008, 8, 0x9000083);
            page();
        });
        assertEquals(0x8001000, go());
        assertEquals(0x9001000, go());
    }

    @Test
    @DisplayName("VT-d 4: a context read before its invalidation is not served after it, nor what it led to")
    void context() {
        when(0x101108, () -> {
            memory.write(0x101100, 8, 0);
            register(0x28, 1L << 63 | 3L << 61 | SID << 16);
            register(0xf8, 1L << 63 | 2L << 60 | 5L << 32);
        });
        assertEquals(Refusal.NO_REQUESTER, go(), "the entry is read until it is the same twice");
        memory.write(0x101100, 8, 0x102001);
        // Now after the last look at the entry: the source id moves to other tables under the same domain id.
        whenAgain(0x101100, this::move);
        go();
        assertEquals(Refusal.UNMAPPED, go());
        assertEquals(Refusal.UNMAPPED, go(), "with the context cached, so that the IOTLB is asked");
    }

    @Test
    @DisplayName("VT-d 4: nor is a context that was invalidated between its reading and the walk")
    void contextBeforeWalk() {
        whenAgain(0x101100, () -> {
            register(0x28, 1L << 63 | 3L << 61 | SID << 16);
            whenAgain(0x101100, this::move);
        });
        go();
        assertEquals(Refusal.UNMAPPED, go());
        assertEquals(Refusal.UNMAPPED, go(), "with the context cached, so that the IOTLB is asked");
    }

    private void move() {
        memory.write(0x101100, 8, 0);
        register(0x28, 1L << 63 | 3L << 61 | SID << 16);
        register(0xf8, 1L << 63 | 2L << 60 | 5L << 32);
        memory.write(0x202000, 8, 0);
        memory.write(0x101100, 8, 0x202001);
    }

    @Test
    @DisplayName("VT-d 6.2: an interrupt entry read before IEC invalidation is not served after it")
    void interruptEntry() {
        register(0xb8, 0x120007);
        registers.write(Bus.CPU, 0x18, 4, 0x81000000L);
        register(0x90, 0x110000);
        registers.write(Bus.CPU, 0x18, 4, 0x84000000L);
        registers.write(Bus.CPU, 0x18, 4, 0x86000000L);
        memory.write(0x120018, 8, 0);
        memory.write(0x120010, 8, 0x0000030000410001L);
        Mmio window = unit.plug("/drhd").windows().get(1).mmio();
        when(0x120018, () -> {
            memory.write(0x110000, 8, 4);
            register(0x88, 16);
        });
        window.write(SID, 0x30, 4, 0);
        memory.write(0x120010, 8, 0);
        window.write(SID, 0x30, 4, 0);
        assertEquals(0x22, registers.read(0x22c, 4) & 0xff);
    }
}
