// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.Bench;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import machine.api.Access;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * VT-d: what was looked up is served from the caches, until it is invalidated. What is counted is the unit's reads of
 * memory.
 */
class WithoutMemoryTest {
    private static final int R = Access.READ;
    private static final int W = Access.WRITE;
    private static final int SID = 0x0010;
    private static final long PAGE = 0x4020_1000L;
    private static final long LARGE = 0x4040_0000L;
    private static final long HUGE = 0x8000_0000L;

    private Bench bench;
    private VtdUnit unit;
    private int reads;
    /** Of the unit's bus: whether a sync gives up. */
    private boolean stuck;

    private void start(VtdSettings settings) {
        bench = new Bench(settings);
        bench.attachments.get(0).close();
        Bus bus = (Bus) Proxy.newProxyInstance(Bus.class.getClassLoader(), new Class<?>[] {Bus.class},
            (proxy, method, arguments) -> {
            reads += method.getName().equals("read") ? 1 : 0;
            if (method.getName().equals("sync") && stuck) {
                throw new ErrnoException(Errno.ETIMEDOUT, "an access does not end");
            }
            try {
                return method.invoke(bench.bus, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
        unit = new VtdUnit(bus, settings, Bench.BASE);
        bench.machine.attach(bench.nodes.get(0), unit.plug(bench.nodes.get(0).path()));
        bench.mem(0x100000, 0x101001);
        for (int function = 0; function < 8; function++) {
            bench.mem(0x101108 + 16 * function, function < 4 ? 0x502 : 0x602);
            bench.mem(0x101100 + 16 * function, 0x102001);
        }
        bench.mem(0x102000, 0x103003);
        bench.mem(0x103008, 0x104003);
        bench.mem(0x103010, 0x80000083L);
        bench.mem(0x104008, 0x105003);
        bench.mem(0x104010, 0x600_0083);
        bench.mem(0x105008, 0x700_0003);
        bench.mem(0x105010, 0x700_1003);
        bench.mem(0x105018, 0x700_2001);
        bench.reg8(0x20, 0x100000);
        bench.command(0x40000000L, 0);
        bench.command(0x80000000L, 0);
    }

    private int looks(long expected, int source, long iova, int access) {
        reads = 0;
        assertEquals(expected, unit.translate(source, iova, 4, access));
        return reads;
    }

    private void cached(long expected, int source, long iova, int access) {
        assertEquals(0, looks(expected, source, iova, access),
            () -> String.format("reads for 0x%x of %04x", iova, source));
    }

    private void context(int granularity, int source, int mask) {
        bench.reg8(0x28, 1L << 63 | (long) granularity << 61 | (long) mask << 32 | (long) source << 16);
    }

    private void translations(int granularity, int domain, long address) {
        bench.reg8(0xf0, address);
        bench.reg8(0xf8, 1L << 63 | (long) granularity << 60 | (long) domain << 32);
    }

    /** Each page twice, as the recent page is another one's then. */
    private void fill(int source) {
        for (int round = 0; round < 2; round++) {
            looks(0x700_0010, source, PAGE + 0x10, R);
            looks(0x700_1010, source, PAGE + 0x1010, R);
            looks(0x600_5010, source, LARGE + 0x5010, R);
            looks(0x8765_4320L, source, HUGE + 0x0765_4320, R);
        }
    }

    private void allCached(int source) {
        cached(0x700_0ffc, source, PAGE + 0xffc, W);
        cached(0x700_1000, source, PAGE + 0x1000, R);
        cached(0x61f_fffc, source, LARGE + 0x1f_fffc, W);
        cached(0xbfff_fffcL, source, HUGE + 0x3fff_fffcL, R);
        cached(0x700_0000, source, PAGE, R);
    }

    @Test
    @DisplayName("VT-d: pages of 4 KiB, 2 MiB and 1 GiB are served from the caches, to the last byte; other "
        + "functions need their context only")
    void sizes() {
        start(VtdSettings.DEFAULT);
        assertEquals(2 + 3 + 4, looks(0x700_0010, SID, PAGE + 0x10, R), "root, context, four levels");
        assertEquals(4, looks(0x700_1010, SID, PAGE + 0x1010, R), "four levels");
        assertEquals(3, looks(0x600_5010, SID, LARGE + 0x5010, R), "three levels");
        assertEquals(2, looks(0x8765_4320L, SID, HUGE + 0x0765_4320, R), "two levels");
        allCached(SID);
        assertEquals(2 + 3, looks(0x700_0010, SID + 1, PAGE + 0x10, R), "of the same domain");
        allCached(SID + 1);
        assertEquals(2 + 3 + 4, looks(0x700_0010, SID + 4, PAGE + 0x10, R), "of another domain");
    }

    @Test
    @DisplayName("VT-d: what a cached page does not permit is refused from the cache; what is not present is looked "
        + "up each time")
    void refusals() {
        start(VtdSettings.DEFAULT);
        assertTrue(looks(0x700_2000, SID, PAGE + 0x2000, R) > 0);
        cached(Refusal.DENIED, SID, PAGE + 0x2000, W);
        for (int i = 0; i < 2; i++) {
            assertEquals(4, looks(Refusal.UNMAPPED, SID, PAGE + 0x3000, R));
            assertTrue(looks(Refusal.NO_REQUESTER, 0x0110, PAGE, R) > 0);
        }
        start(Bench.with(1 << 7, 0, 0, 0));
        assertTrue(looks(Refusal.UNMAPPED, SID, PAGE + 0x3000, R) > 0);
        cached(Refusal.UNMAPPED, SID, PAGE + 0x3000, R);
        assertTrue(looks(Refusal.NO_REQUESTER, 0x0110, PAGE, R) > 0);
        cached(Refusal.NO_REQUESTER, 0x0110, PAGE, R);
    }

    @Test
    @DisplayName("VT-d: an invalidation takes what it names and leaves the rest: one page, a block, a domain, "
        + "everything")
    void granularities() {
        start(VtdSettings.DEFAULT);
        fill(SID);
        fill(SID + 4);
        translations(3, 5, PAGE);
        assertEquals(4, looks(0x700_0000, SID, PAGE, R));
        allCached(SID);
        allCached(SID + 4);
        translations(3, 5, PAGE + 0x1000);
        cached(0x700_0000, SID, PAGE, R);
        assertEquals(4, looks(0x700_1000, SID, PAGE + 0x1000, R));
        translations(3, 5, LARGE + 0x1f_f000);
        assertEquals(3, looks(0x600_0000, SID, LARGE, R));
        allCached(SID);
        translations(3, 5, HUGE + 0x3fff_f000L);
        assertEquals(2, looks(0x8000_0000L, SID, HUGE, R));
        allCached(SID);
        translations(3, 5, 0x4020_0000L | 2);
        assertEquals(4, looks(0x700_0000, SID, PAGE, R), "the first of four pages");
        assertEquals(4, looks(0x700_1000, SID, PAGE + 0x1000, R));
        cached(0x600_0000, SID, LARGE, R);
        translations(3, 5, 0x4000_0000L | 11);
        assertEquals(4, looks(0x700_0000, SID, PAGE, R), "8 MiB");
        assertEquals(3, looks(0x600_0000, SID, LARGE, R));
        cached(0x8000_0000L, SID, HUGE, R);
        translations(3, 5, 0x4000_0000L | 13);
        assertEquals(2, looks(0x8000_0000L, SID, HUGE, R), "so many that it is the whole domain");
        assertEquals(4, looks(0x700_0000, SID, PAGE, R));
        assertEquals(4, looks(0x700_1000, SID, PAGE + 0x1000, R));
        assertEquals(3, looks(0x600_0000, SID, LARGE, R));
        allCached(SID);
        translations(2, 5, 0);
        assertEquals(4, looks(0x700_0000, SID, PAGE, R), "domain 5");
        allCached(SID + 4);
        translations(2, 7, 0);
        cached(0x700_0000, SID, PAGE, R);
        allCached(SID + 4);
        translations(1, 0, 0);
        assertEquals(4, looks(0x700_0000, SID, PAGE, R), "all");
        assertEquals(4, looks(0x700_0000, SID + 4, PAGE, R));
    }

    @Test
    @DisplayName("VT-d: a context is forgotten by its source id, with FM by fewer bits of its function, or with all "
        + "others")
    void contexts() {
        start(VtdSettings.DEFAULT);
        int[][] forgotten = {{0}, {0, 4}, {0, 2, 4, 6}, {0, 1, 2, 3, 4, 5, 6, 7}};
        for (int mask = 0; mask < 4; mask++) {
            for (int function = 0; function < 8; function++) {
                fill(SID + function);
            }
            context(3, SID, mask);
            boolean[] read = new boolean[8];
            for (int function : forgotten[mask]) {
                read[function] = true;
            }
            for (int function = 0; function < 8; function++) {
                assertEquals(read[function] ? 5 : 0, looks(0x700_0000, SID + function, PAGE, R),
                    "FM " + mask + ", function " + function);
            }
        }
        for (int granularity = 1; granularity <= 2; granularity++) {
            context(granularity, 0, 0);
            for (int function = 0; function < 8; function++) {
                assertEquals(5, looks(0x700_0000, SID + function, PAGE, R));
            }
        }
        context(0, 0, 0);
        assertEquals(0, looks(0x700_0000, SID, PAGE, R), "a reserved granularity");
    }

    @Test
    @DisplayName("VT-d: the granularity performed is told: of contexts global for a domain, of translations as "
        + "asked, none for what is reserved")
    void performed() {
        start(Bench.with(0, 0, 0, 0xa));
        for (int[] asked : new int[][] {{0, 0}, {1, 1}, {2, 1}, {3, 3}}) {
            context(asked[0], SID, 0);
            assertEquals(asked[1], bench.reg8(0x28) >>> 59 & 3, "contexts, asked for " + asked[0]);
            assertTrue(bench.reg8(0x28) >= 0);
        }
        fill(SID);
        for (int[] asked : new int[][] {{0, 0}, {1, 1}, {2, 2}, {3, 3}}) {
            translations(asked[0], 5, PAGE | 12);
            assertEquals(asked[1], bench.reg8(0xf8) >>> 57 & 3, "translations, asked for " + asked[0]);
        }
        translations(3, 5, PAGE | 18);
        assertEquals(2, bench.reg8(0xf8) >>> 57 & 3, "so many pages are the whole domain");
        translations(3, 5, PAGE | 19);
        assertEquals(0, bench.reg8(0xf8) >>> 57 & 3, "MAMV is 18");
        start(Bench.with(0, 1L << 39, 0, 0xa));
        fill(SID);
        translations(3, 5, PAGE);
        assertEquals(2, bench.reg8(0xf8) >>> 57 & 3, "without PSI it is the domain");
        assertEquals(2, looks(0x8000_0000L, SID, HUGE, R));
    }

    @Test
    @DisplayName("VT-d: the page used last is served without any look, for this source id and access, until "
        + "something is invalidated")
    void recentPage() {
        start(VtdSettings.DEFAULT);
        for (int i = 0; i < 3; i++) {
            unit.translate(SID, PAGE, 4, R);
        }
        // Memory and IOTLB know nothing of it any more, and nobody has said so.
        bench.mem(0x105008, 0);
        cached(0x700_0ff0, SID, PAGE + 0xff0, R);
        translations(2, 77, 0);
        cached(0x700_0ff0, SID, PAGE + 0xff0, R);
        bench.command(0, 0x80000000L);
        assertEquals(Refusal.BLOCKED, unit.translate(SID, PAGE, 4, R));
        bench.command(0x80000000L, 0);
        translations(2, 5, 0);
        assertEquals(Refusal.UNMAPPED, unit.translate(SID, PAGE, 4, R));
    }

    @Test
    @DisplayName("VT-d 4: a descriptor that drains and is given up holds the queue only until the next IQT")
    void drainGivenUp() {
        start(VtdSettings.DEFAULT);
        bench.reg8(0x90, 0x110000);
        bench.command(0x04000000L, 0);
        bench.mem(0x110000, 0xe2 | 5 << 16);
        bench.mem(0x110010, 7L << 32 | 0x25);
        bench.mem(0x110018, 0x112000);
        stuck = true;
        assertThrows(ErrnoException.class, () -> bench.reg8(0x88, 32));
        assertEquals(0, bench.reg8(0x80), "the head stays");
        assertEquals(0, bench.bus.read(0x112000, 4));
        stuck = false;
        bench.reg8(0x88, 32);
        assertEquals(32, bench.reg8(0x80));
        assertEquals(7, bench.bus.read(0x112000, 4));
    }
}
