// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What is waited for, and how long, at a unit that takes its time. */
@Timeout(30)
class RegistersTest {
    private static final long BASE = 0xfed9_0000L;
    private static final int IVA = 0xf0;

    /** A register page that confirms a command when it has been asked some times. */
    private static final class SlowPage implements Mmio {
        /** How often a command is still under way when it is asked for. */
        int takes = 300;
        /** What CCMD and IOTLB say was performed. */
        int performed = 1;
        final List<String> written = new ArrayList<>();
        final Map<Integer, Long> values = new TreeMap<>();
        private int left;

        @Override
        public long read(long offset, int size) {
            int at = (int) offset;
            long value = values.getOrDefault(at & -8, 0L) >>> 8 * (at & 4);
            if (at != VtdRegisters.GSTS && at != VtdRegisters.CCMD && at != IVA + 8 || left == 0 || --left > 0) {
                return value;
            }
            if (at == VtdRegisters.GSTS) {
                values.put(VtdRegisters.GCMD, values.get(-8) << 32);
            } else {
                int shift = at == VtdRegisters.CCMD ? 59 : 57;
                values.merge(at, 0L, (old, none) -> old & ~(VtdRegisters.START | 3L << shift)
                    | (long) performed << shift);
            }
            return read(offset, size);
        }

        @Override
        public void write(int requester, long offset, int size, long value) {
            written.add(String.format("0x%x 0x%x%s", offset, value, left == 0 ? "" : " while one is under way"));
            if (offset == VtdRegisters.GCMD) {
                // What GSTS will say.
                values.put(-8, value & 0xffff_ffffL);
                left = takes;
            } else {
                values.put((int) offset, value);
                left = value < 0 ? takes : 0;
            }
        }
    }

    private final LocalMachine machine = TestBoard.named("slow").memory(0, 0x1000_0000L)
        .free(0x0100_0000L, 0x0100_0000L).machine();
    private final SlowPage page = new SlowPage();
    private final Registers registers = new Registers(machine.bus(), BASE, "/unit", 5000);

    RegistersTest() {
        machine.bus().attach(BASE, 0x1000, page);
    }

    private static ErrnoException errno(Errno errno, Runnable call) {
        ErrnoException refused = assertThrows(ErrnoException.class, call::run);
        assertEquals(errno, refused.errno(), refused.getMessage());
        return refused;
    }

    private RegisterInvalidation invalidation(boolean drains) {
        return new RegisterInvalidation(registers, new VtdCapabilities(3L << 54, (long) IVA >> 4 << 8), drains);
    }

    @DisplayName("A command is waited for until GSTS says so, both ways; other levels go along, one-shot bits do not")
    @Test
    void command() {
        registers.command(VtdRegisters.TE, true);
        assertEquals(VtdRegisters.TE, registers.read(VtdRegisters.GSTS));
        page.values.put(VtdRegisters.GCMD, (VtdRegisters.TE | VtdRegisters.SRTP & 0xffff_ffffL) << 32);
        registers.command(VtdRegisters.QIE, true);
        assertEquals(VtdRegisters.TE | VtdRegisters.QIE, registers.read(VtdRegisters.GSTS));
        registers.command(VtdRegisters.TE, false);
        assertEquals(VtdRegisters.QIE, registers.read(VtdRegisters.GSTS));
        assertEquals(List.of("0x18 0x80000000", "0x18 0x84000000", "0x18 0x4000000"), page.written);
    }

    @DisplayName("ETIMEDOUT names the register and the time when a unit does not answer that long, and not before")
    @Test
    void timeout() {
        page.takes = Integer.MAX_VALUE;
        registers.timeout(20);
        long begun = System.nanoTime();
        ErrnoException late = errno(Errno.ETIMEDOUT, () -> registers.command(VtdRegisters.TE, true));
        assertTrue(System.nanoTime() - begun >= 20_000_000L, "it was not waited for");
        assertTrue(late.getMessage().contains("no answer in GSTS after 20 ms"), late.getMessage());
    }

    @DisplayName("EIO names the address where no register answers, whatever is written")
    @Test
    void nobody() {
        Registers nowhere = new Registers(machine.bus(), BASE + 0x1000, "/unit", 20);
        assertTrue(errno(Errno.EIO, () -> nowhere.write(0x18, 1)).getMessage().contains("0xfed91018"));
        assertTrue(errno(Errno.EIO, () -> nowhere.write8(0x28, 1)).getMessage().contains("0xfed91028"));
    }

    @DisplayName("VT-d 6.5.1: an invalidation by register has ended when the call returns, and none is begun while one "
        + "is under way")
    @Test
    void oneAtATime() {
        RegisterInvalidation invalidation = invalidation(false);
        List<Runnable> all = List.of(invalidation::contexts, () -> invalidation.context(5, 0x18),
            invalidation::translations, () -> invalidation.translations(5),
            () -> invalidation.translations(5, 0x20_0000, 9, true));
        for (Runnable each : all) {
            each.run();
            assertTrue(registers.read8(VtdRegisters.CCMD) >= 0 && registers.read8(IVA + 8) >= 0, "it has ended");
        }
        assertEquals(List.of("0x28 0xa000000000000000", "0x28 0xe000000000180005", "0xf8 0x9000000000000000",
            "0xf8 0xa000000500000000", "0xf0 0x200049", "0xf8 0xb000000500000000"), page.written);
    }

    @DisplayName("An invalidation that somebody gave up is waited for before the next one, and before its address is "
        + "written")
    @Test
    void leftOver() {
        RegisterInvalidation invalidation = invalidation(false);
        List<Runnable> all = List.of(invalidation::contexts, invalidation::translations,
            () -> invalidation.translations(5, 0x20_0000, 0, false));
        for (Runnable each : all) {
            registers.timeout(20);
            page.takes = Integer.MAX_VALUE;
            errno(Errno.ETIMEDOUT, each);
            page.written.clear();
            page.left = 300;
            page.takes = 300;
            registers.timeout(5000);
            each.run();
            assertTrue(page.written.stream().noneMatch(line -> line.contains("under way")), page.written.toString());
        }
    }

    @DisplayName("EIO if the unit says that it performed nothing (CAIG, IAIG 0); its bits of the other granularities "
        + "are an answer")
    @Test
    void notPerformed() {
        RegisterInvalidation invalidation = invalidation(false);
        for (int performed = 1; performed < 4; performed++) {
            page.performed = performed;
            assertDoesNotThrow(invalidation::contexts);
            assertDoesNotThrow(() -> invalidation.translations());
        }
        page.performed = 0;
        assertTrue(errno(Errno.EIO, invalidation::contexts).getMessage().contains("CCMD"));
        assertTrue(errno(Errno.EIO, () -> invalidation.translations(5)).getMessage().contains("IOTLB"));
    }

    @DisplayName("DR and DW are asked for if the driver is to and the unit can")
    @Test
    void drains() {
        invalidation(true).translations(5);
        new RegisterInvalidation(registers, new VtdCapabilities(1L << 54, (long) IVA >> 4 << 8), true).translations(5);
        new RegisterInvalidation(registers, new VtdCapabilities(1L << 55, (long) IVA >> 4 << 8), true).translations(5);
        assertEquals(List.of("0xf8 0xa003000500000000", "0xf8 0xa001000500000000", "0xf8 0xa002000500000000"),
            page.written);
    }
}
