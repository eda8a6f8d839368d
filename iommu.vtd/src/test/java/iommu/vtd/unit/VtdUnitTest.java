// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.Bench;
import iommu.vtd.VtdCapabilities;
import machine.api.Access;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The unit driven by hand: every table and register as literals. SID 00:02.0 = 0x0010, domain 5, tables of the sheet's
 * example.
 */
class VtdUnitTest {
    private static final int R = Access.READ;
    private static final int W = Access.WRITE;
    private static final int SID = 0x0010;
    private static final long IOVA = 0x40201234L;

    private Bench bench;

    private Bench start(VtdSettings settings) {
        bench = new Bench(settings);
        bench.mem(0x100000, 0x0000000000101001L);
        bench.mem(0x101108, 0x0000000000000502L);
        bench.mem(0x101100, 0x0000000000102001L);
        bench.mem(0x102000, 0x103003);
        bench.mem(0x103008, 0x104003);
        bench.mem(0x104008, 0x105003);
        bench.mem(0x105008, 0x7000003);
        bench.reg8(0x20, 0x100000);
        bench.reg(0x18, 0x40000000L);
        bench.reg(0x18, 0x80000000L);
        return bench;
    }

    private long go(int requester, long iova, int access) {
        return bench.units.get(0).translate(requester, iova, 4, access);
    }

    /** Reads and clears the first fault record; reason, or -1 if there is none. */
    private int fault() {
        int record = 0x220 + 16 * (int) (bench.reg(0x34) >>> 8 & 0xff);
        long high = bench.reg8(record + 8);
        if (high >= 0) {
            return -1;
        }
        bench.reg(record + 12, 0x80000000L);
        return (int) (high >>> 32) & 0xff;
    }

    private void flushAll() {
        bench.reg8(0x28, 1L << 63 | 1L << 61);
        bench.reg8(0xf8, 1L << 63 | 1L << 60);
    }

    @Test
    @DisplayName("VT-d 2.2: IOVA 0x40201234 of 00:02.0 through 4 levels is 0x7000234")
    void workedExample() {
        start(VtdSettings.DEFAULT);
        assertEquals(0x7000234, go(SID, IOVA, R));
        assertEquals(0x7000238, go(SID, IOVA + 4, W), "from the IOTLB");
    }

    @Test
    @DisplayName("VT-d 2.2: with L2[1] = 0x7000083, a 2 MiB page, it is 0x7001234")
    void workedExampleSuperpage() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x104008, 0x7000083);
        assertEquals(0x7001234, go(SID, IOVA, R));
        assertEquals(0x71fffff, go(SID, 0x403fffffL, W));
    }

    @Test
    @DisplayName("VT-d 2.1: PS in level 3 is a 1 GiB page")
    void gigabytePage() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x103008, 0x80000083L);
        assertEquals(0x80201234L, go(SID, IOVA, R));
        assertEquals(0xbfffffffL, go(SID, 0x7fffffffL, R));
    }

    @Test
    @DisplayName("VT-d: 3 and 5 levels start at another table")
    void otherDepths() {
        start(Bench.levels(3));
        bench.mem(0x101108, 0x501);
        bench.mem(0x101100, 0x103001);
        assertEquals(0x7000234, go(SID, IOVA, R));
        start(Bench.levels(5));
        bench.mem(0x101108, 0x503);
        bench.mem(0x101100, 0x106001);
        bench.mem(0x106000, 0x102003);
        assertEquals(0x7000234, go(SID, IOVA, R));
        bench.mem(0x106ff8, 0x102003);
        assertEquals(0x7000234, go(SID, 0x01ff_0000_0000_0000L + IOVA, R));
    }

    @Test
    @DisplayName("CAP and ECAP of QEMU 7.2 decode to what they are")
    void qemuCapabilities() {
        VtdCapabilities c = new VtdCapabilities(0xd2008c22260286L, 0xf00f4aL);
        assertTrue(c.walks(3) && !c.walks(4) && c.cachingMode() && !c.writeBufferFlush() && c.pageSelective());
        assertEquals(39, c.addressWidth());
        assertEquals(0x220, c.faultOffset());
        assertEquals(0xf0, c.iotlbOffset());
        assertEquals(1, c.faultRecords());
        assertEquals(18, c.maximumMask());
        assertEquals(3, c.superpages());
        assertEquals(0x40201000L, c.pageSizes());
        assertEquals(65536, c.domains());
        assertTrue(
            c.queued() && c.interruptRemapping() && c.passThrough() && !c.snoopControl() && !c.extendedInterrupts());
    }

    @Test
    @DisplayName("VT-d 11.4.2: SAGAW has a bit for 2 to 6 levels; DRD and DWD are bits of their own")
    void capabilityBits() {
        VtdCapabilities all = new VtdCapabilities(0x1f00, 0);
        for (int levels = 0; levels <= 8; levels++) {
            assertEquals(levels >= 2 && levels <= 6, all.walks(levels), levels + " levels");
        }
        assertTrue(!all.drainsReads() && !all.drainsWrites());
        assertTrue(new VtdCapabilities(1L << 55, 0).drainsReads() && !new VtdCapabilities(1L << 55, 0).drainsWrites());
    }

    @Test
    @DisplayName("VT-d 1.1: RTADDR has no effect before SRTP; GSTS shows each command")
    void commandProtocol() {
        start(VtdSettings.DEFAULT);
        assertEquals(0xc0000000L, bench.reg(0x1c));
        assertEquals(0, bench.reg(0x18), "GCMD is write only");
        bench.reg8(0x20, 0x200000);
        assertEquals(0x7000234, go(SID, IOVA, R), "still the old root");
        bench.command(0x40000000L, 0);
        flushAll();
        assertEquals(Refusal.NO_REQUESTER, go(SID, IOVA, R));
        bench.command(0, 0x80000000L);
        assertEquals(0x40000000L, bench.reg(0x1c));
        assertEquals(Refusal.BLOCKED, go(SID, IOVA, R));
    }

    @Test
    @DisplayName("VT-d: a page that was served at once is not when TE falls, and is looked up again when it is set "
        + "again")
    void servedUntilDisabled() {
        start(VtdSettings.DEFAULT);
        for (int i = 0; i < 3; i++) {
            assertEquals(0x7000234, go(SID, IOVA, R));
        }
        bench.command(0, 0x80000000L);
        assertEquals(Refusal.BLOCKED, go(SID, IOVA, R));
        bench.mem(0x105008, 0x9000003);
        flushAll();
        bench.command(0x80000000L, 0);
        assertEquals(0x9000234, go(SID, IOVA, R));
    }

    @Test
    @DisplayName("TE=0 blocks, or passes untranslated as the chip does, by configuration")
    void untranslated() {
        bench = new Bench(VtdSettings.DEFAULT);
        assertEquals(Refusal.BLOCKED, go(SID, 0x5000, W));
        bench = new Bench(new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, false, 1024));
        assertEquals(0x5000, go(SID, 0x5000, W));
        assertEquals(Refusal.OUTSIDE, go(SID, 1L << 46, W));
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("VT-d 3: each fault reason")
    @CsvSource({
        "root entry not present,                 1, -2, 0x100000, 0x101000",
        "context entry not present,              2, -2, 0x101100, 0x102000",
        "AW not in SAGAW,                        3, -6, 0x101108, 0x503",
        "TT 3,                                   3, -6, 0x101100, 0x10200d",
        "TT 1 without device TLB,                3, -6, 0x101100, 0x102005",
        "top table unreachable,                  3, -6, 0x101100, 0x300000000001",
        "root entry low reserved,                a, -6, 0x100000, 0x101003",
        "root entry high reserved,               a, -6, 0x100008, 0x1",
        "root entry beyond host width,           a, -6, 0x100000, 0x400000101001",
        "context entry low reserved,             b, -6, 0x101100, 0x102011",
        "context entry high reserved,            b, -6, 0x101108, 0x1000502",
        "context entry bit 71,                   b, -6, 0x101108, 0x582",
        "no leaf,                                6, -4, 0x105008, 0",
        "no table,                               6, -4, 0x103008, 0",
        "leaf without R,                         6, -5, 0x105008, 0x7000002",
        "table without R,                        6, -5, 0x104008, 0x105002",
        "table unreachable,                      7, -6, 0x103008, 0x300000000003",
        "root table unreachable,                 8, -6, -1, 0x300000000000",
        "context table unreachable,              9, -6, 0x100000, 0x300000000001",
        "leaf beyond host width,                 c, -6, 0x105008, 0x400007000003",
        "leaf TM without device TLB,             c, -6, 0x105008, 0x4000000007000003",
        "table with SNP,                         c, -6, 0x104008, 0x105803",
        "PS at level 4,                          c, -6, 0x102000, 0x103083",
        "2 MiB page not aligned,                 c, -6, 0x104008, 0x7001083",
        "1 GiB page not aligned,                 c, -6, 0x103008, 0x80200083",
        "leaf into the interrupt range,          e, -6, 0x105008, 0xfee00003",
        "2 MiB page into the interrupt range,    e, -6, 0x104008, 0xfee00083"})
    void faultReasons(String what, String reason, int refusal, String address, String value) {
        start(VtdSettings.DEFAULT);
        if (address.equals("-1")) {
            bench.reg8(0x20, Long.decode(value));
            bench.command(0x40000000L, 0);
        } else {
            bench.mem(Long.decode(address), Long.parseUnsignedLong(value.replace("0x", ""), 16));
        }
        assertEquals(refusal, go(SID, IOVA, R));
        assertEquals(1L << 63 | 1L << 62 | Long.parseLong(reason, 16) << 32 | SID, bench.reg8(0x228), what);
        assertEquals(0x40201000L, bench.reg8(0x220));
        assertEquals(2, bench.reg(0x34), "PPF, FRI 0");
    }

    @Test
    @DisplayName("VT-d 3: write without W is reason 5, T = 0; address beyond the width is 4")
    void writeAndWidth() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x105008, 0x7000001);
        assertEquals(Refusal.DENIED, go(SID, IOVA, W));
        assertEquals(1L << 63 | 5L << 32 | SID, bench.reg8(0x228));
        assertEquals(5, fault());
        assertEquals(0x7000234, go(SID, IOVA, R));
        assertEquals(Refusal.DENIED, go(SID, IOVA, W), "refused from the IOTLB, too");
        assertEquals(5, fault());
        assertEquals(Refusal.OUTSIDE, go(SID, 1L << 48, R));
        assertEquals(4, fault());
        assertEquals(Refusal.OUTSIDE, go(SID, -4096, R));
        assertEquals(4, fault());
        assertEquals(Refusal.NO_REQUESTER, go(0x10010, IOVA, R), "no such source id");
        assertEquals(-1, fault());
    }

    @Test
    @DisplayName("VT-d 2.1: PS is reserved where SLLPS lacks the size, SNP where ECAP.SC is 0; bit 7 of a 4 KiB leaf "
        + "is ignored")
    void capabilitiesDecideReservedBits() {
        start(Bench.with(0, 3L << 34, 0, 1 << 7));
        bench.mem(0x104008, 0x7000083);
        assertEquals(Refusal.MALFORMED, go(SID, IOVA, R));
        assertEquals(0xc, fault());
        bench.mem(0x104008, 0x105003);
        bench.mem(0x105008, 0x7000803);
        assertEquals(Refusal.MALFORMED, go(SID, IOVA, R));
        assertEquals(0xc, fault());
        bench.mem(0x105008, 0x80000000070000ffL);
        assertEquals(0x7000234, go(SID, IOVA, R));
        start(VtdSettings.DEFAULT);
        bench.mem(0x105008, 0x7000803);
        assertEquals(0x7000234, go(SID, IOVA, R));
    }

    @Test
    @DisplayName("VT-d 2.1: TM is a field of leaves where there are device TLBs, and reserved in tables even there")
    void transientMapping() {
        start(Bench.with(0, 0, 1 << 2, 0));
        bench.mem(0x105008, 0x4000000007000003L);
        assertEquals(0x7000234, go(SID, IOVA, R));
        bench.mem(0x104008, 0x4000000000105003L);
        flushAll();
        assertEquals(Refusal.MALFORMED, go(SID, IOVA, R));
        assertEquals(0xc, fault());
    }

    @Test
    @DisplayName("VT-d 2: TT 2 passes through up to MGAW and host width, whatever AW, and is invalid without ECAP.PT")
    void passThrough() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x101100, 0x9);
        assertEquals(IOVA, go(SID, IOVA, W));
        assertEquals(Refusal.OUTSIDE, go(SID, 1L << 46, W));
        assertEquals(4, fault());
        start(Bench.with(1L << 9, 0, 0, 0));
        bench.mem(0x101100, 0x9);
        bench.mem(0x101108, 0x501);
        assertEquals(1L << 40, go(SID, 1L << 40, W), "AW is the width of tables, and there are none");
        start(Bench.with(0, 0, 0, 1 << 6));
        bench.mem(0x101100, 0x9);
        assertEquals(Refusal.MALFORMED, go(SID, IOVA, W));
        assertEquals(3, fault());
    }

    @Test
    @DisplayName("VT-d 2: FPD silences what is found from the context entry on, not what is found before")
    void faultProcessingDisable() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x105008, 0);
        bench.mem(0x101100, 0x102003);
        assertEquals(Refusal.UNMAPPED, go(SID, IOVA, R));
        assertEquals(0, bench.reg(0x34));
        bench.mem(0x100000, 0);
        flushAll();
        assertEquals(Refusal.NO_REQUESTER, go(SID, IOVA, R));
        assertEquals(1, fault());
    }

    @Test
    @DisplayName("VT-d 2.1: permissions of all levels are ANDed, from the IOTLB as well")
    void permissionsAlongThePath() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x103008, 0x104001);
        assertEquals(0x7000234, go(SID, IOVA, R));
        assertEquals(Refusal.DENIED, go(SID, IOVA, W));
    }

    @Test
    @DisplayName("VT-d 4: a translation is stale until it is invalidated: page, domain, global; never after")
    void translationGranularities() {
        start(VtdSettings.DEFAULT);
        bench.mem(0x105010, 0x7001003);
        bench.mem(0x104010, 0x8000083);
        long page = 0x40201000L;
        // page: AM 0 of that page only
        go(SID, page, R);
        go(SID, page + 0x1000, R);
        go(SID, 0x40400000L, R);
        bench.mem(0x105008, 0x9000003);
        bench.mem(0x105010, 0x9001003);
        bench.mem(0x104010, 0xa000083);
        assertEquals(0x7000000, go(SID, page, R), "stale and expected to be");
        bench.reg8(0xf0, page);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(3L << 60 | 3L << 57 | 5L << 32, bench.reg8(0xf8), "IVT 0, IAIG page");
        assertEquals(0x9000000, go(SID, page, R));
        assertEquals(0x7001000, go(SID, page + 0x1000, R), "the neighbour is still stale");
        assertEquals(0x8000000, go(SID, 0x40400000L, R));
        // page with AM 9 and IH over the superpage
        bench.reg8(0xf0, 0x40400000L | 1 << 6 | 9);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(0xa000000, go(SID, 0x40400000L, R));
        // one page inside a superpage takes the superpage
        bench.mem(0x104010, 0xb000083);
        bench.reg8(0xf0, 0x40500000L);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(0xb000000, go(SID, 0x40400000L, R));
        // another domain's invalidation changes nothing, the own does
        bench.reg8(0xf8, 1L << 63 | 2L << 60 | 6L << 32);
        assertEquals(0x7001000, go(SID, page + 0x1000, R));
        bench.reg8(0xf8, 1L << 63 | 2L << 60 | 5L << 32);
        assertEquals(2L << 60 | 2L << 57 | 5L << 32, bench.reg8(0xf8));
        assertEquals(0x9001000, go(SID, page + 0x1000, R));
        // global; and a mask above MAMV is ignored: "an incorrect invalidation request" (IOTLB_REG.IAIG 0)
        bench.mem(0x105008, 0xc000003);
        bench.reg8(0xf8, 1L << 63 | 1L << 60);
        assertEquals(0xc000000, go(SID, page, R));
        bench.mem(0x105008, 0xd000003);
        bench.reg8(0xf0, 19);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(3L << 60 | 5L << 32, bench.reg8(0xf8), "IVT 0, IAIG 0");
        assertEquals(0xc000000, go(SID, page, R), "still stale");
        bench.reg8(0xf0, 18);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(2, bench.reg8(0xf8) >>> 57 & 3, "many pages: the domain");
        assertEquals(0xd000000, go(SID, page, R));
        // reserved granularity: nothing performed
        bench.reg8(0xf8, 1L << 63 | 5L << 32);
        assertEquals(5L << 32, bench.reg8(0xf8));
    }

    @Test
    @DisplayName("VT-d 4: a context is stale until it is invalidated: device with function mask, domain, global")
    void contextGranularities() {
        start(VtdSettings.DEFAULT);
        for (int function = 0; function < 8; function++) {
            bench.mem(0x101108 + 16 * function, 0x502);
            bench.mem(0x101100 + 16 * function, 0x102001);
            assertEquals(0x7000234, go(SID + function, IOVA, R));
            bench.mem(0x101100 + 16 * function, 0);
        }
        assertEquals(0x7000234, go(SID, IOVA, R), "stale");
        bench.reg8(0x28, 1L << 63 | 3L << 61 | (long) SID << 16);
        assertEquals(3L << 61 | 3L << 59 | (long) SID << 16, bench.reg8(0x28), "ICC 0, CAIG device");
        assertEquals(Refusal.NO_REQUESTER, go(SID, IOVA, R));
        assertEquals(0x7000234, go(SID + 1, IOVA, R));
        bench.reg8(0x28, 1L << 63 | 3L << 61 | 1L << 32 | SID + 1 << 16);
        assertEquals(Refusal.NO_REQUESTER, go(SID + 1, IOVA, R));
        assertEquals(Refusal.NO_REQUESTER, go(SID + 5, IOVA, R), "FM 1 ignores function bit 2");
        assertEquals(0x7000234, go(SID + 3, IOVA, R));
        bench.reg8(0x28, 1L << 63 | 3L << 61 | 2L << 32 | SID + 6 << 16);
        assertEquals(Refusal.NO_REQUESTER, go(SID + 2, IOVA, R), "FM 2 ignores bits 2:1");
        assertEquals(0x7000234, go(SID + 7, IOVA, R));
        bench.reg8(0x28, 1L << 63 | 2L << 61 | 5);
        assertEquals(1, bench.reg8(0x28) >>> 59 & 3, "domain is performed as global, and says so");
        assertEquals(Refusal.NO_REQUESTER, go(SID + 7, IOVA, R));
    }

    @Test
    @DisplayName("VT-d 4: not present to present needs no invalidation with CM=0, and does with CM=1")
    void cachingMode() {
        start(VtdSettings.DEFAULT);
        assertEquals(Refusal.UNMAPPED, go(SID, 0x40202000L, R));
        bench.mem(0x105010, 0x7001003);
        assertEquals(0x7001000, go(SID, 0x40202000L, R));
        start(Bench.with(1 << 7, 0, 0, 0));
        assertEquals(Refusal.UNMAPPED, go(SID, 0x40202000L, R));
        bench.mem(0x105010, 0x7001003);
        assertEquals(Refusal.UNMAPPED, go(SID, 0x40202000L, R));
        bench.reg8(0xf0, 0x40202000L);
        bench.reg8(0xf8, 1L << 63 | 3L << 60 | 5L << 32);
        assertEquals(0x7001000, go(SID, 0x40202000L, R));
        assertEquals(Refusal.NO_REQUESTER, go(SID + 1, IOVA, R));
        bench.mem(0x101118, 0x502);
        bench.mem(0x101110, 0x102001);
        assertEquals(Refusal.NO_REQUESTER, go(SID + 1, IOVA, R));
        bench.reg8(0x28, 1L << 63 | 3L << 61 | SID + 1 << 16);
        assertEquals(0x7000234, go(SID + 1, IOVA, R));
    }

    @Test
    @DisplayName("VT-d: registers take 4 and 8 bytes by cores; halves act like wholes; a device's write does nothing")
    void registerAccess() {
        start(VtdSettings.DEFAULT);
        assertEquals(0x10, bench.reg(0));
        assertEquals(VtdSettings.DEFAULT.capabilities().cap(), bench.reg8(0x08));
        assertEquals(VtdSettings.DEFAULT.capabilities().ecap() & 0xffffffffL, bench.reg(0x10));
        assertEquals(0x078c, bench.bus.read(Bench.BASE + 0x0c, 2));
        assertEquals(0x80000000L, bench.reg(0x38), "fault event masked after reset");
        bench.bus.write(0x10, Bench.BASE + 0x18, 4, 0);
        assertEquals(0xc0000000L, bench.reg(0x1c));
        bench.bus.write(Bench.BASE + 0x1b, 1, 0);
        assertEquals(0xc0000000L, bench.reg(0x1c));
        go(SID, IOVA, R);
        bench.mem(0x101100, 0);
        bench.reg(0x28, SID << 16);
        assertEquals(0x7000234, go(SID, IOVA, R), "the lower half alone starts nothing");
        bench.reg(0x2c, 0xe0000000L);
        assertEquals(Refusal.NO_REQUESTER, go(SID, IOVA, R));
    }

    @Test
    @DisplayName("an IOTLB smaller than what is mapped: evicted translations are walked again")
    void smallIotlb() {
        bench = start(new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, true, 4096));
        for (int table = 0; table < 64; table++) {
            bench.mem(0x104000 + 8 * table, 0x200003L + 0x1000L * table);
            for (int i = 0; i < 512; i++) {
                bench.mem(0x200000L + 0x1000L * table + 8 * i, 0x10000003L + 0x1000L * (table * 512 + i));
            }
        }
        for (int pass = 0; pass < 2; pass++) {
            for (int page = 0; page < 32768; page++) {
                assertEquals(0x10000000L + 0x1000L * page, go(SID, 0x40000000L + 0x1000L * page, R));
            }
        }
    }
}
