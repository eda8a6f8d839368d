// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.vtd.Bench;
import machine.api.Access;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** FRCD, FSTS and the fault event. The root table is all zeroes: every access is fault 1. */
class FaultRecordingTest {
    private Bench bench;

    private void start(int records, boolean compress) {
        VtdSettings base = Bench.with(records - 1L << 40, 0xffL << 40, 0, 0);
        bench = new Bench(new VtdSettings(base.capabilities(), 46, compress, true, 1024));
        bench.reg8(0x20, 0x100000);
        bench.command(0x40000000L, 0);
        bench.command(0x80000000L, 0);
    }

    private void fault(int requester, long iova) {
        bench.units.get(0).translate(requester, iova, 4, Access.WRITE);
    }

    @Test
    @DisplayName("VT-d 3: records fill as a ring; one too many sets PFO and is lost; FRI is the first pending")
    void ringAndOverflow() {
        start(4, false);
        for (int i = 0; i < 5; i++) {
            fault(0x100 + i, 0x1000L * i + 0x234);
        }
        for (int i = 0; i < 4; i++) {
            assertEquals(0x1000L * i, bench.reg8(0x220 + 16 * i), "FI is the page");
            assertEquals(1L << 63 | 1L << 32 | 0x100 + i, bench.reg8(0x228 + 16 * i));
        }
        assertEquals(0x3, bench.reg(0x34), "PFO, PPF, FRI 0");
        bench.reg(0x22c, 0x80000000L);
        assertEquals(0x103, bench.reg(0x34), "FRI moves on to 1");
        fault(0x200, 0);
        assertEquals(1L << 32 | 0x100, bench.reg8(0x228), "while PFO is set nothing is recorded");
        bench.reg(0x34, 1);
        fault(0x201, 0);
        assertEquals(1L << 63 | 1L << 32 | 0x201, bench.reg8(0x228));
        assertEquals(0x102, bench.reg(0x34));
        for (int i : new int[] {2, 1, 3, 0}) {
            bench.reg(0x22c + 16 * i, 0x80000000L);
        }
        assertEquals(0, bench.reg(0x34) & 3);
    }

    @Test
    @DisplayName("VT-d 3: FI has the bits below MGAW; those above are reserved (FRCD.FI: \"treats bits 63:N as "
        + "reserved\")")
    void beyondMgaw() {
        start(1, false);
        fault(0x100, 0x0005_8765_4321_0234L);
        assertEquals(0x8765_4321_0000L, bench.reg8(0x220), "MGAW 48");
    }

    @Test
    @DisplayName("VT-d 3: writing anything but F changes no record; 8-byte writes clear as well")
    void onlyFIsWritable() {
        start(1, false);
        fault(0x100, 0x5000);
        bench.reg8(0x220, -1);
        bench.reg(0x228, 0xffffffffL);
        bench.reg(0x22c, 0x7fffffffL);
        assertEquals(0x5000, bench.reg8(0x220));
        assertEquals(1L << 63 | 1L << 32 | 0x100, bench.reg8(0x228));
        bench.reg8(0x228, 1L << 63);
        assertEquals(1L << 32 | 0x100, bench.reg8(0x228));
        assertEquals(0, bench.reg(0x34));
    }

    @Test
    @DisplayName("VT-d 3: with compression a source's second fault is dropped until the first is cleared")
    void compression() {
        start(8, true);
        fault(0x100, 0x1000);
        fault(0x100, 0x2000);
        fault(0x101, 0x3000);
        assertEquals(0x3000, bench.reg8(0x230));
        assertEquals(0, bench.reg8(0x240));
        bench.reg(0x22c, 0x80000000L);
        fault(0x100, 0x2000);
        assertEquals(0x2000, bench.reg8(0x240));
        fault(0, 0x4000);
        assertEquals(0x4000, bench.reg8(0x250), "source id 0 is one, too");
    }

    @Test
    @DisplayName("VT-d 3: IP falls when an overflow is all there is and is cleared")
    void overflowCleared() {
        start(1, false);
        fault(0x100, 0);
        fault(0x101, 0);
        bench.reg(0x22c, 0x80000000L);
        assertEquals(1, bench.reg(0x34), "PFO alone");
        assertEquals(0xc0000000L, bench.reg(0x38));
        bench.reg(0x34, 1);
        assertEquals(0x80000000L, bench.reg(0x38));
    }

    @Test
    @DisplayName("VT-d 3: the fault event is a message; masked it waits in IP; a second fault raises none")
    void event() {
        start(8, false);
        bench.reg(0x3c, 0x41);
        bench.reg(0x40, 0xfee03000L);
        bench.reg(0x44, 0);
        fault(0x100, 0);
        assertEquals(0xc0000000L, bench.reg(0x38), "IM and IP");
        assertEquals(0, bench.messages.size());
        bench.reg(0x38, 0);
        assertEquals(1, bench.messages.size());
        assertEquals(new Bench.Message(0xffff, 0xfee03000L, 0x41), bench.messages.get(0));
        assertEquals(0, bench.reg(0x38));
        fault(0x101, 0);
        assertEquals(1, bench.messages.size(), "PPF was set before");
        bench.reg(0x22c, 0x80000000L);
        bench.reg(0x23c, 0x80000000L);
        fault(0x102, 0);
        assertEquals(2, bench.messages.size());
        bench.reg(0x24c, 0x80000000L);
        bench.reg(0x38, 0x80000000L);
        fault(0x103, 0);
        assertEquals(0xc0000000L, bench.reg(0x38));
        bench.reg(0x25c, 0x80000000L);
        assertEquals(0x80000000L, bench.reg(0x38), "IP falls when all status is cleared");
        bench.reg(0x38, 0);
        assertEquals(2, bench.messages.size());
    }
}
