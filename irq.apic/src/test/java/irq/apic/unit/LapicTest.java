// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.apic.Board;
import java.util.List;
import java.util.Random;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.fixture.TestBoard;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Local APIC rules, with literals; sections are those of the VT-d and MSI fact sheet. */
class LapicTest {
    private final Board board = new Board(4);

    private static final int TPR = 0x80;
    private static final int PPR = 0xa0;
    private static final int EOI = 0xb0;
    private static final int LDR = 0xd0;
    private static final int DFR = 0xe0;
    private static final int SVR = 0xf0;
    private static final int ESR = 0x280;
    private static final int ICR = 0x300;
    private static final int ICR_HIGH = 0x310;
    private static final int ACK = 0x3f0;

    private boolean requested(int core, int vector) {
        return (board.get(core, 0x200 + vector / 32 * 16) >>> vector % 32 & 1) != 0;
    }

    private String requestedBy(int vector) {
        StringBuilder cores = new StringBuilder();
        for (int i = 0; i < 4; i++) {
            cores.append(requested(i, vector) ? i : "");
        }
        return cores.toString();
    }

    @Test
    @DisplayName("6.4 example: vector 0x41, APIC 3, fixed, edge: 0xFEE03000 / 0x0041; 0x4041 means the same")
    void example() {
        board.enable();
        board.ring(0xfee03000, 0x0041);
        assertTrue(board.pin(3));
        assertFalse(board.pin(0));
        assertEquals(0x41, board.get(3, ACK));
        assertFalse(board.pin(3));
        board.put(3, EOI, 0);
        board.ring(0xfee03000, 0x4041);
        assertEquals(0x41, board.get(3, ACK));
        assertEquals(0, board.get(3, 0x1a0), "TMR: edge");
    }

    @Test
    @DisplayName("Reset: disabled (SVR 0xFF), DFR flat, LVTs masked, id in 31:24, version 0x14 with 6 LVT entries")
    void reset() {
        assertEquals(0xff, board.get(2, SVR));
        assertEquals(-1, board.get(2, DFR));
        assertEquals(0x10000, board.get(2, 0x350));
        assertEquals(0x02000000, board.get(2, 0x20));
        assertEquals(0x00050014, board.get(2, 0x30));
        assertEquals(-1, board.get(4, 0x30), "no core 4");
    }

    @Test
    @DisplayName("7: a software-disabled APIC takes no vectors, counts them, and holds what it had")
    void disabled() {
        board.ring(0xfee00000, 0x41);
        assertEquals(1, board.lapics.lapic(0).dropped());
        board.enable();
        assertFalse(board.pin(0));
        board.ring(0xfee00000, 0x42);
        assertTrue(board.pin(0));
        board.put(0, SVR, 0xff);
        assertFalse(board.pin(0));
        assertEquals(0xff, board.get(0, ACK), "spurious");
        board.put(0, SVR, 0x1ff);
        assertEquals(0x42, board.get(0, ACK));
    }

    @Test
    @DisplayName("7: IRR collapses: one in service, one requested, never more")
    void collapse() {
        board.enable();
        board.ring(0xfee00000, 0x41);
        board.ring(0xfee00000, 0x41);
        assertEquals(0x41, board.get(0, ACK));
        board.ring(0xfee00000, 0x41);
        board.ring(0xfee00000, 0x41);
        assertFalse(board.pin(0), "same class in service");
        board.put(0, EOI, 0);
        assertTrue(board.pin(0));
        assertEquals(0x41, board.get(0, ACK));
        board.put(0, EOI, 0);
        assertFalse(board.pin(0));
        assertEquals(0xff, board.get(0, ACK), "the spurious vector, and nothing in service");
    }

    @Test
    @DisplayName("7: a higher class interrupts, the same class waits; EOI ends the highest in service")
    void priority() {
        board.enable();
        board.ring(0xfee00000, 0x41);
        assertEquals(0x41, board.get(0, ACK));
        assertEquals(0x40, board.get(0, PPR));
        board.ring(0xfee00000, 0x4f);
        assertFalse(board.pin(0));
        board.ring(0xfee00000, 0x50);
        assertEquals(0x50, board.get(0, ACK));
        assertEquals(0x50, board.get(0, PPR));
        board.put(0, EOI, 0);
        assertEquals(0x40, board.get(0, PPR));
        board.put(0, EOI, 0);
        assertEquals(0x4f, board.get(0, ACK));
    }

    @Test
    @DisplayName("7: PPR = TPR if its class is at least ISRV's, else ISRV & 0xF0")
    void processorPriority() {
        board.enable();
        board.put(0, TPR, 0x47);
        assertEquals(0x47, board.get(0, PPR));
        board.ring(0xfee00000, 0x4f);
        assertFalse(board.pin(0), "class 4 is not above class 4");
        board.ring(0xfee00000, 0x51);
        assertEquals(0x51, board.get(0, ACK));
        assertEquals(0x50, board.get(0, PPR));
        board.put(0, TPR, 0x53);
        assertEquals(0x53, board.get(0, PPR));
        board.put(0, EOI, 0);
        board.put(0, TPR, 0x3f);
        assertTrue(board.pin(0), "lowering TPR offers 0x4f");
    }

    @Test
    @DisplayName("7: vectors 0..15 are illegal: ESR bit 6, after a write has latched it")
    void illegalVector() {
        board.enable();
        board.ring(0xfee00000, 0x0f);
        assertFalse(board.pin(0));
        assertEquals(0, board.get(0, ESR));
        board.put(0, ESR, 0);
        assertEquals(1 << 6, board.get(0, ESR));
        board.put(0, ESR, 0);
        assertEquals(0, board.get(0, ESR));
        board.ring(0xfee00000, 0x10);
        assertTrue(board.pin(0));
    }

    @Test
    @DisplayName("ESR: sending an illegal vector is bit 5, an offset without a register is bit 7")
    void otherErrors() {
        board.enable();
        board.put(0, ICR, 0x40000 | 0x0f);
        assertEquals(0, board.get(0, 0x3c0));
        board.put(0, ESR, 0);
        assertEquals(1 << 5 | 1 << 7, board.get(0, ESR));
    }

    @Test
    @DisplayName("Level-triggered: TMR bit set, only when asserted; its EOI would be broadcast to IOAPICs")
    void level() {
        board.enable();
        board.ring(0xfee00000, 0x8041);
        assertFalse(board.pin(0), "deassert");
        board.ring(0xfee00000, 0xc041);
        assertEquals(1 << 1, board.get(0, 0x1a0));
        assertEquals(0x41, board.get(0, ACK));
        board.put(0, EOI, 0);
        assertEquals(1, board.lapics.lapic(0).broadcastEnds());
        board.ring(0xfee00000, 0x0041);
        assertEquals(0, board.get(0, 0x1a0));
        assertEquals(0x41, board.get(0, ACK));
        board.put(0, EOI, 0);
        assertEquals(1, board.lapics.lapic(0).broadcastEnds());
    }

    @Test
    @DisplayName("6.4: physical destination 0xFF is everybody; one that nobody has is refused")
    void broadcast() {
        board.enable();
        board.ring(0xfeeff000, 0x41);
        assertEquals("0123", requestedBy(0x41));
        board.ring(0xfee04000, 0x42);
        assertEquals(1, board.lapics.refused());
    }

    @Test
    @DisplayName("7: logical flat: any common bit of LDR and destination")
    void flat() {
        board.enable();
        for (int i = 0; i < 4; i++) {
            board.put(i, LDR, 1 << 24 + i);
        }
        board.ring(0xfee0a004, 0x41);
        assertEquals("13", requestedBy(0x41));
        board.ring(0xfeeff004, 0x42);
        assertEquals("0123", requestedBy(0x42));
        board.ring(0xfee10004, 0x43);
        assertEquals(1, board.lapics.refused());
    }

    @Test
    @DisplayName("7: logical cluster: same cluster in 7:4 and a common bit in 3:0; 0xFF everybody")
    void cluster() {
        board.enable();
        int[] ldr = {0x11, 0x12, 0x21, 0x22};
        for (int i = 0; i < 4; i++) {
            board.put(i, DFR, 0x0fffffff);
            board.put(i, LDR, ldr[i] << 24);
        }
        board.ring(0xfee13004, 0x41);
        assertEquals("01", requestedBy(0x41));
        board.ring(0xfee22004, 0x42);
        assertEquals("3", requestedBy(0x42));
        board.ring(0xfee33004, 0x43);
        assertEquals("", requestedBy(0x43));
        board.ring(0xfeeff004, 0x44);
        assertEquals("0123", requestedBy(0x44));
        board.put(0, DFR, 0x5fffffff);
        board.ring(0xfee11004, 0x45);
        assertEquals("", requestedBy(0x45), "no such model");
    }

    @Test
    @DisplayName("7: lowest priority: one of the destinations, the one with the lowest PPR, disabled ones never")
    void lowestPriority() {
        board.enable();
        for (int i = 0; i < 4; i++) {
            board.put(i, LDR, 1 << 24 + i);
            board.put(i, TPR, 0x40 - 0x10 * i);
        }
        board.put(3, SVR, 0xff);
        board.ring(0xfee0f004, 0x0141);
        assertEquals("2", requestedBy(0x41));
        board.ring(0xfee0300c, 0x0042);
        assertEquals("1", requestedBy(0x42), "redirection hint with a logical destination");
        board.ring(0xfee00008, 0x0043);
        assertEquals("0", requestedBy(0x43), "redirection hint, physical: that core");
    }

    @Test
    @DisplayName("7: SMI, NMI, INIT and ExtINT ignore the vector and are counted; reserved modes are refused")
    void otherModes() {
        for (int mode : new int[] {2, 4, 5, 7}) {
            board.ring(0xfee01000, mode << 8);
            assertEquals(1, board.lapics.lapic(1).accepted(mode));
        }
        board.ring(0xfee01000, 0x0300);
        board.ring(0xfee01000, 0x0600);
        assertEquals(2, board.lapics.refused());
        assertFalse(board.pin(1));
    }

    @Test
    @DisplayName("6.3/6.4: a message is 4 bytes, remappable format and reserved address bits do not get through")
    void malformed() {
        board.enable();
        board.machine.bus().write(0x10, 0xfee00000L, 2, 0x41);
        board.machine.bus().write(0x10, 0xfee00000L, 8, 0x41);
        board.machine.bus().write(0x10, 0xfee00000L, 1, 0x41);
        board.ring(0xfee00010, 0x41);
        board.ring(0xfee00020, 0x41);
        board.ring(0xfee000f0, 0x1ff);
        assertEquals(6, board.lapics.refused());
        assertFalse(board.pin(0));
        assertEquals(0x1ff, board.get(0, SVR), "a device reaches no register");
    }

    @Test
    @DisplayName("ICR: to one, to itself, to all, to all others; by logical destination; lowest priority")
    void command() {
        board.enable();
        board.put(1, ICR_HIGH, 0x03000000);
        board.put(1, ICR, 0x41);
        assertEquals("3", requestedBy(0x41));
        board.put(1, ICR, 0x40042);
        assertEquals("1", requestedBy(0x42));
        board.put(1, ICR, 0x80043);
        assertEquals("0123", requestedBy(0x43));
        board.put(1, ICR, 0xc0044);
        assertEquals("023", requestedBy(0x44));
        board.put(2, LDR, 0x04000000);
        board.put(1, ICR_HIGH, 0x04000000);
        board.put(1, ICR, 0x0845);
        assertEquals("2", requestedBy(0x45));
        board.put(1, ICR, 0x0946);
        assertEquals("2", requestedBy(0x46));
        board.put(1, ICR_HIGH, 0);
        board.put(1, ICR, 0x4500);
        board.put(1, ICR, 0x8500);
        assertEquals(1, board.lapics.lapic(0).accepted(5), "INIT, and its de-assert is nothing");
        board.put(1, ICR, 0x0608);
        assertEquals(1, board.lapics.lapic(0).accepted(6), "start-up");
    }

    @Test
    @DisplayName("A handler of one core that throws does not keep a broadcast from the others")
    void broadcastPastFailure() {
        board.enable();
        board.machine.cpus().get(0).attach(() -> {
            board.get(0, ACK);
            throw new IllegalStateException("core 0");
        });
        board.machine.cpus().get(1).attach(() -> {
            board.get(1, ACK);
            throw new IllegalStateException("core 1");
        });
        board.ring(0xfeeff000, 0x41);
        assertTrue(board.pin(2));
        assertTrue(board.pin(3));
    }

    @Test
    @DisplayName("When the unit leaves, the registers are gone and every pin is low")
    void leaves() {
        board.enable();
        board.ring(0xfee02000, 0x41);
        assertTrue(board.pin(2));
        board.attachment.close();
        board.lapics.reset();
        assertFalse(board.pin(2));
        assertEquals(Refusal.NO_TARGET, board.machine.bus().write(0x10, 0xfee02000L, 4, 0x41));
    }

    @Test
    @DisplayName("Too many cores for 8-bit ids, or another range, are EINVAL")
    void refusesOddMachines() {
        Machine crowd = TestBoard.named("crowd").cores(256).machine();
        assertThrows(ErrnoException.class, () -> new LapicUnit(board.lapic(), crowd.cpus()));
        new LapicUnit(board.lapic(), crowd.cpus().subList(0, 255));
    }

    private static Node range(List<Node.Range> registers) {
        return Node.at("/other").registers(registers.toArray(Node.Range[]::new));
    }

    @Test
    @DisplayName("One range of 1 MiB and 1..255 cores; else EINVAL")
    void refusesOddNodes() {
        for (List<Node.Range> odd : List.of(List.<Node.Range>of(), List.of(new Node.Range(0xfee00000L, 0x1000)),
                List.of(new Node.Range(0xfee00000L, 0x100000), new Node.Range(0, 0x100000)))) {
            assertThrows(ErrnoException.class, () -> new LapicUnit(range(odd), board.machine.cpus()));
        }
        assertThrows(ErrnoException.class, () -> new LapicUnit(board.lapic(), List.of()));
    }

    @Test
    @DisplayName("Registers that are stored keep what is written, each for itself; what lies between them is bit 7 "
        + "of ESR, read or written")
    void stored() {
        board.enable();
        List<Integer> stored = List.of(0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0);
        stored.forEach(register -> board.put(1, register, register));
        stored.forEach(register -> assertEquals(register, board.get(1, register)));
        board.put(1, ICR, 0x000c0041);
        assertEquals(0x000c0041, board.get(1, ICR));
        board.put(1, ESR, 0);
        assertEquals(0, board.get(1, ESR));
        for (int register : new int[] {0x00, 0x10, 0x40, 0x90, 0xc0, 0x290, 0x2f0, 0x3a0, 0x3d0}) {
            assertEquals(0, board.get(1, register));
            board.put(1, ESR, 0);
            assertEquals(1 << 7, board.get(1, ESR), Integer.toHexString(register));
            board.put(1, register, -1);
            board.put(1, ESR, 0);
            assertEquals(1 << 7, board.get(1, ESR), Integer.toHexString(register));
            assertEquals(0, board.get(1, register));
            board.put(1, ESR, 0);
        }
        stored.forEach(register -> assertEquals(0, board.get(2, register) & ~0x10000, "another core's"));
    }

    @Test
    @DisplayName("A register that is read-only, or is not accessed as aligned 32 bits, keeps its value; LDR, DFR and "
        + "SVR keep the bits they have")
    void writeMasks() {
        board.enable();
        board.ring(0xfee01000, 0xc041);
        for (int register : new int[] {0x20, 0x30, PPR, 0x120, 0x170, 0x1a0, 0x220, 0x270, 0x390, ACK}) {
            int before = register == ACK ? 0 : board.get(1, register);
            board.put(1, register, -1);
            assertEquals(before, register == ACK ? 0 : board.get(1, register), Integer.toHexString(register));
        }
        assertEquals(0, board.get(1, EOI));
        assertEquals(0, board.get(1, 0x390));
        assertTrue(board.pin(1));
        board.put(1, ESR, 0);
        assertEquals(0, board.get(1, ESR));
        board.put(1, LDR, -1);
        assertEquals(0xff000000, board.get(1, LDR));
        board.put(1, DFR, 0x50000000);
        assertEquals(0x5fffffff, board.get(1, DFR));
        board.put(1, SVR, -1);
        assertEquals(0x3ff, board.get(1, SVR));
        board.put(1, TPR, -1);
        assertEquals(0xff, board.get(1, TPR));
        for (int size : new int[] {1, 2, 8}) {
            board.machine.bus().write(0xfee01000L + TPR, size, 0);
            assertEquals(0, board.machine.bus().read(0xfee01000L + TPR, size));
        }
        board.machine.bus().write(0xfee01000L + TPR + 4, 4, 0);
        assertEquals(0, board.get(1, TPR + 4));
        assertEquals(0xff, board.get(1, TPR));
        board.machine.bus().write(0xfee01000L + ICR, 2, 0x4041);
        assertEquals("1", requestedBy(0x41), "half a command sends nothing");
        assertEquals(0xff000000L, board.lapics.read(0x1000 + LDR, 4), "zero-extended");
        board.put(4, TPR, 1);
        assertEquals(0xffffffffL, board.machine.bus().read(0xfee04000L + TPR, 4), "no core 4");
    }

    @Test
    @DisplayName("A local vector is masked while the APIC is disabled by software, whatever is written, and as it "
        + "was written after that")
    void localVectors() {
        board.put(0, 0x320, 0x41);
        board.put(0, ICR + 0x10, 0x41);
        assertEquals(0x10041, board.get(0, 0x320));
        assertEquals(0x41, board.get(0, ICR + 0x10), "no local vector");
        board.enable();
        board.put(0, 0x320, 0x41);
        board.put(0, 0x370, 0x42);
        board.put(0, 0x380, 0x43);
        assertEquals(0x41, board.get(0, 0x320));
        board.put(0, SVR, 0xff);
        assertEquals(0x10041, board.get(0, 0x320));
        assertEquals(0x10042, board.get(0, 0x370));
        assertEquals(0x43, board.get(0, 0x380));
    }

    @Test
    @DisplayName("Reset: every register is as after power-up, whatever was there")
    void resetsAll() {
        Board fresh = new Board(4);
        board.enable();
        for (int register = 0x80; register < 0x3f0; register += 0x10) {
            if (register != SVR && register != EOI && register != ICR) {
                board.put(1, register, 0x37373737);
            }
        }
        board.put(1, TPR, 0);
        board.ring(0xfee01000, 0xc041);
        board.get(1, ACK);
        board.ring(0xfee01000, 0xc0f1);
        board.put(1, 0x3a0, 0);
        board.put(1, ESR, 0);
        board.put(1, 0x3a0, 0);
        board.lapics.reset();
        assertFalse(board.pin(1));
        for (int register = 0; register < 0x3f0; register += 0x10) {
            assertEquals(fresh.get(1, register), board.get(1, register), Integer.toHexString(register));
        }
        board.lapics.reset();
        board.put(1, ESR, 0);
        assertEquals(0, board.get(1, ESR), "what had come up since the last write, too");
    }

    @Test
    @DisplayName("ICR: legal and illegal vectors, modes and shorthands; INIT's de-assert is level-triggered and not "
        + "asserted")
    void commandForms() {
        board.enable();
        board.put(1, ICR_HIGH, 0x02000000);
        for (int low : new int[] {0x0f, 0x010f, 0x00}) {
            board.put(1, ICR, low);
            board.put(1, ESR, 0);
            assertEquals(1 << 5, board.get(1, ESR), Integer.toHexString(low));
        }
        board.put(1, ICR, 0x0010);
        assertEquals("2", requestedBy(0x10));
        board.put(1, ICR, 0x0200);
        assertEquals(1, board.lapics.lapic(2).accepted(2), "SMI has no vector");
        assertEquals(0, board.lapics.refused());
        for (int low : new int[] {0x0341, 0x0741, 0x40441, 0x40141}) {
            board.put(1, ICR, low);
        }
        assertEquals(4, board.lapics.refused(), "reserved mode, ExtINT, and to itself what is not fixed");
        board.put(1, ICR, 0x0500);
        board.put(1, ICR, 0xc500);
        board.put(1, ICR, 0x4500);
        board.put(1, ICR, 0x8500);
        assertEquals(3, board.lapics.lapic(2).accepted(5));
        board.put(1, ICR, 0x88541);
        assertEquals(3, board.lapics.lapic(2).accepted(5), "de-assert to all");
        board.put(1, ICR, 0x80441);
        board.put(1, ICR, 0xc0441);
        assertEquals(List.of(2L, 1L, 2L, 2L),
            List.of(0, 1, 2, 3).stream().map(core -> board.lapics.lapic(core).accepted(4)).toList());
        board.put(1, ICR, 0xc052);
        assertEquals(0, board.get(2, 0x180 + 0x20), "between cores always edge");
        assertEquals("2", requestedBy(0x52));
    }

    @Test
    @DisplayName("7: flat: each of the eight bits; lowest priority: the first of equal ones; nobody enabled: refused")
    void destinations() {
        board.enable();
        board.put(3, LDR, 0x80000000);
        board.ring(0xfee80004, 0x41);
        assertEquals("3", requestedBy(0x41));
        board.put(2, LDR, 0x90000000);
        board.ring(0xfee8000c, 0x42);
        assertEquals("2", requestedBy(0x42), "2 and 3 have the same priority");
        board.ring(0xfeeff000, 0x0143);
        assertEquals("0", requestedBy(0x43), "lowest priority among all");
        board.put(2, SVR, 0xff);
        board.put(3, SVR, 0xff);
        board.ring(0xfee80004, 0x0144);
        assertEquals(1, board.lapics.refused());
        assertEquals(1, board.lapics.lapic(3).accepted(0));
        board.ring(0xfee80004, 0x45);
        assertEquals(1, board.lapics.lapic(3).dropped(), "found, and disabled");
        assertEquals(1, board.lapics.refused());
        board.ring(0xfee00000, 0x05);
        assertEquals(1, board.lapics.lapic(0).dropped());
        assertEquals(0, board.lapics.lapic(0).accepted(0));
        assertEquals(1, board.lapics.lapic(0).accepted(1));
    }

    @Test
    @DisplayName("Any access by anybody is survived: random offsets, sizes and values (-Dgantry.seed)")
    void gibberish() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("LapicTest.gibberish: -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        for (int i = 0; i < 200_000; i++) {
            int size = 1 << random.nextInt(4);
            long at = 0xfee00000L + (random.nextInt(random.nextBoolean() ? 0x4000 : 0x100000) & -size);
            if (random.nextInt(3) == 0) {
                board.machine.bus().read(at, size);
            } else {
                board.machine.bus().write(random.nextInt(3) - 1, at, size, random.nextLong());
            }
        }
        for (int core = 0; core < 4; core++) {
            board.put(core, SVR, 0x1ff);
            board.put(core, TPR, 0);
            for (int i = 0; i < 2000; i++) {
                board.get(core, ACK);
                board.put(core, EOI, 0);
            }
            assertFalse(board.pin(core));
            assertEquals(0, board.get(core, PPR));
        }
    }
}
