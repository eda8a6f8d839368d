// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.Bench;
import iommu.vtd.VtdRegisters;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import machine.api.DmaPort;
import machine.api.Mmio;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class RegisterBlockTest {
    private static final long IVT = 1L << 63;
    private static final long GLOBAL = 1L << 60;

    private final Bench bench = new Bench(VtdSettings.DEFAULT);

    @DisplayName("VT-d 11.4: each register reads what was written, as a whole and by halves, reserved bits are 0")
    @Test
    void readBack() {
        long all = 0x1234_5678_9abc_dff7L;
        long[][] registers = {{VtdRegisters.RTADDR, all & ~0x3ffL}, {VtdRegisters.IQA, all & ~0x7f8L},
            {VtdRegisters.IRTA, all & ~0x7f0L}, {VtdRegisters.CCMD, all}, {0xf0, all}, {0xf8, all}};
        for (long[] each : registers) {
            int at = (int) each[0];
            bench.reg8(at, all);
            assertEquals(each[1], bench.reg8(at), () -> String.format("register 0x%x", at));
            assertEquals(each[1] & 0xffff_ffffL, bench.reg(at));
            assertEquals(each[1] >>> 32, bench.reg(at + 4));
            assertEquals(each[1] >>> 8 & 0xff, bench.bus.read(Bench.BASE + at + 1, 1));
            assertEquals(each[1] >>> 48, bench.bus.read(Bench.BASE + at + 6, 2));
            bench.reg(at, 0);
            assertEquals(each[1] & -1L << 32, bench.reg8(at), "a half");
            bench.reg(at + 4, 0);
            assertEquals(0, bench.reg8(at));
        }
        assertEquals(0, bench.reg8(0x100), "no register");
    }

    @DisplayName("VT-d 11.4.10 to 13: the words of an event message, 16 bits of data, an address in whole words")
    @Test
    void events() {
        for (int event : new int[] {VtdRegisters.FECTL, VtdRegisters.IECTL}) {
            for (int word = 0; word < 4; word++) {
                bench.reg(event + 4 * word, 0x8765_4321L);
            }
            assertEquals(0x8000_0000L, bench.reg(event), "IM; IP is read only");
            assertEquals(0x4321, bench.reg(event + 4));
            assertEquals(0x8765_4320L, bench.reg(event + 8));
            assertEquals(0x8765_4321L, bench.reg(event + 12));
            bench.reg(event, 0);
            assertEquals(0, bench.reg(event));
        }
    }

    @DisplayName("An event goes to its upper address, too; what waits behind the mask goes once when that falls")
    @Test
    void messages() {
        refuseAll();
        bench.reg(VtdRegisters.FECTL + 4, 0x41);
        bench.reg(VtdRegisters.FECTL + 8, 0xfee0_0000L);
        bench.reg(VtdRegisters.FECTL + 12, 1);
        bench.port(0x10).write(0x1000, 4, 0);
        assertEquals(0xc000_0000L, bench.reg(VtdRegisters.FECTL), "IM, IP");
        bench.reg(VtdRegisters.FECTL, 0);
        assertEquals(0, bench.reg(VtdRegisters.FECTL));
        assertEquals(0, bench.messages.size(), "there is nobody at 0x1fee00000");
        for (int record = 0; record < 8; record++) {
            bench.reg(0x22c + 16 * record, VtdRegisters.FAULT);
        }
        bench.reg(VtdRegisters.FECTL, VtdRegisters.MASKED);
        bench.reg(VtdRegisters.FECTL + 12, 0);
        bench.port(0x18).write(0x1000, 4, 0);
        bench.reg(VtdRegisters.FECTL, 0);
        bench.reg(VtdRegisters.FECTL, 0);
        assertEquals(1, bench.messages.size());
        assertEquals(0x41, bench.messages.get(0).data());
    }

    @DisplayName("VT-d 11.4.14: fault records end where they end; F is cleared by a 1 in the last word alone")
    @Test
    void records() {
        refuseAll();
        for (int device = 0; device < 9; device++) {
            bench.port(0x10 + 8 * device).write(0x1000, 4, 0);
        }
        assertEquals(VtdRegisters.PPF | VtdRegisters.PFO, bench.reg(VtdRegisters.FSTS));
        bench.reg(VtdRegisters.FSTS, 0);
        bench.reg(VtdRegisters.FSTS, VtdRegisters.IQE);
        assertEquals(VtdRegisters.PPF | VtdRegisters.PFO, bench.reg(VtdRegisters.FSTS), "only a 1 clears");
        bench.reg(VtdRegisters.FSTS, VtdRegisters.PFO);
        assertEquals(VtdRegisters.PPF, bench.reg(VtdRegisters.FSTS));
        assertEquals(0, bench.reg(0x2a0), "behind the last record");
        bench.reg(0x2ac, VtdRegisters.FAULT);
        for (int record = 7; record >= 0; record--) {
            assertEquals(1, bench.reg(0x22c + 16 * record) >>> 31);
            bench.reg(0x224 + 16 * record, VtdRegisters.FAULT);
            bench.reg(0x22c + 16 * record, 0);
            assertEquals(1, bench.reg(0x22c + 16 * record) >>> 31, "neither of these clears it");
            bench.reg(0x22c + 16 * record, VtdRegisters.FAULT);
            assertEquals(0, bench.reg(0x22c + 16 * record) >>> 31);
        }
        assertEquals(0, bench.reg(VtdRegisters.FSTS) & VtdRegisters.PPF);
    }

    @DisplayName("VT-d 11.4.4: GSTS says IRTPS when SIRTP was asked for, and not before")
    @Test
    void interruptTable() {
        bench.command(VtdRegisters.SRTP, 0);
        assertEquals(VtdRegisters.SRTP, bench.reg(VtdRegisters.GSTS));
        bench.command(VtdRegisters.SIRTP, 0);
        assertEquals(VtdRegisters.SRTP | VtdRegisters.SIRTP, bench.reg(VtdRegisters.GSTS));
    }

    @DisplayName("VT-d 6.5.1.2: an IOTLB invalidation with DW or DR waits for accesses in flight; any other, and one "
        + "that is not performed, does not")
    @Test
    void drains() throws Exception {
        Bench passing = new Bench(
            new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, false, 1 << 17));
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        passing.bus.attach(0xd000_0000L, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                inside.countDown();
                try {
                    go.await();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        });
        DmaPort port = passing.port(0x10);
        FutureTask<Integer> access = new FutureTask<>(() -> port.write(0xd000_0000L, 4, 1));
        start(access);
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        passing.reg8(0xf8, IVT | GLOBAL);
        passing.reg8(0xf8, GLOBAL | 3L << 48);
        passing.reg8(0xf8, IVT | 3L << 48);
        passing.reg8(0xf0, IVT | GLOBAL | 3L << 48);
        for (long drain : new long[] {1L << 48, 1L << 49}) {
            FutureTask<Void> draining = new FutureTask<>(() -> passing.reg8(0xf8, IVT | GLOBAL | drain), null);
            Thread waits = start(draining);
            while (Arrays.stream(waits.getStackTrace()).noneMatch(frame -> frame.getMethodName().equals("sync"))) {
                assertFalse(draining.isDone(), "it did not wait");
                Thread.onSpinWait();
            }
            if (drain == 1L << 49) {
                go.countDown();
                draining.get(10, TimeUnit.SECONDS);
            }
        }
        access.get(10, TimeUnit.SECONDS);
        assertEquals(GLOBAL >>> 3, passing.reg8(0xf8) & 3L << 57, "IAIG: global");
    }

    /** No requester has an entry: each access is a fault. */
    private void refuseAll() {
        bench.reg8(VtdRegisters.RTADDR, 0x10_0000);
        bench.command(VtdRegisters.SRTP, 0);
        bench.command(VtdRegisters.TE, 0);
    }

    private static Thread start(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
