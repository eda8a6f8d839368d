// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;

/**
 * The program that QEMU's x86 core runs instead of firmware: 64 KiB that let it make accesses for {@link PcCore}.
 * Nothing else can reach a local APIC, which is inside the core and not on the bus.
 *
 * <p>It goes to 32-bit mode, masks the 8259s, stops the 8254, whose ticks would keep an idle QEMU busy, and halts with
 * interrupts on. Then:
 * <ul>
 *   <li>An NMI makes the access that the mailbox asks for, and sends the byte 2 and the word of the mailbox, lowest
 *     byte first, to port 0xe9. If it was an end of interrupt, interrupts are on again when it is over.
 *   <li>An interrupt of the vectors 0x10 to 0xfe leaves interrupts off and sends its vector: one at a time, as a core
 *     that runs its handler.
 *   <li>0xff, the spurious vector, does nothing. An exception sends its number, and the core stops.
 * </ul>
 *
 * <p>The interrupt flag that counts is always at {@value #FLAGS}: below it on the stack is only the halted program,
 * whose flags an interrupt and an NMI that interrupt it both save there; an NMI inside an interrupt changes the
 * interrupt's.
 *
 * <pre>
 *  mailbox 0x6000   +0 1 to read, 2 to write     +4 physical address     +8 value
 * </pre>
 */
final class CoreRom {
    /** Physical address of the mailbox. The stack is below. */
    static final int MAILBOX = 0x6000;
    /** In the mailbox: read. */
    static final int READ = 1;
    /** In the mailbox: write. */
    static final int WRITE = 2;
    /** The answer when the mailbox has been served: the number of the NMI. */
    static final int SERVED = 2;
    /** The lowest vector that is an interrupt and no exception. */
    static final int FIRST_INTERRUPT = 0x10;
    /** The spurious vector, which is not told of. */
    static final int SPURIOUS = 0xff;
    /** The port of QEMU's isa-debugcon. */
    static final int PORT = 0xe9;

    @SuppressWarnings("UnusedVariable")
    private static final String FLAGS = "0x5ffc";
    private static final int SIZE = 0x10000;
    private static final int BASE = 0xffff0000;

    // Offsets in the ROM.
    private static final int IDT = 0x0000;
    private static final int VECTORS = 0x1000;
    private static final int NMI = 0x1800;
    private static final int INTERRUPT = 0x1880;
    private static final int EXCEPTION = 0x18a0;
    private static final int START = 0x18c0;
    private static final int NOTHING = 0x18f0;
    private static final int IDT_POINTER = 0x1900;
    private static final int GDT_POINTER = 0x1910;
    private static final int GDT = 0x1920;
    private static final int ENTRY = 0x1940;
    private static final int RESET = 0xfff0;

    private static final int VECTOR_SIZE = 8;
    private static final int CODE = 0x08;
    /** Present, 32-bit interrupt gate: interrupts are off inside. */
    private static final int GATE = 0x8e00;

    private CoreRom() {
    }

    static byte[] bytes() {
        ByteBuffer rom = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        for (int vector = 0; vector < 256; vector++) {
            int handler = BASE
                + (vector == SERVED ? NMI : vector == SPURIOUS ? NOTHING : VECTORS + vector * VECTOR_SIZE);
            rom.putLong(IDT + 8 * vector,
                handler & 0xffffL | CODE << 16 | (long) GATE << 32 | (handler & 0xffff0000L) << 32);
            // push vector; jmp
            int at = VECTORS + vector * VECTOR_SIZE;
            rom.put(at, (byte) 0x6a).put(at + 1, (byte) vector).put(at + 2, (byte) 0xe9)
                .putInt(at + 3, (vector < FIRST_INTERRUPT ? EXCEPTION : INTERRUPT) - (at + 7));
        }
        put(rom, NMI, "50 53"               // push eax; push ebx
            + "8b 1d 04 60 00 00"           // mov ebx, [address]
            + "83 3d 00 60 00 00 01"        // cmp dword [operation], READ
            + "75 09"                       // jne write
            + "8b 03"                       // mov eax, [ebx]
            + "a3 08 60 00 00"              // mov [value], eax
            + "eb 19"                       // jmp served
            + "a1 08 60 00 00"              // write: mov eax, [value]
            + "89 03"                       // mov [ebx], eax
            + "81 fb b0 00 e0 fe"           // cmp ebx, end of interrupt
            + "75 0a"                       // jne served
            + "81 0d fc 5f 00 00 00 02 00 00"   // or dword [flags], IF
            + "b0 02 e6 e9"                 // served: mov al, 2; out 0xe9, al
            + "a1 08 60 00 00 e6 e9"        // mov eax, [value]; out 0xe9, al
            + "c1 e8 08 e6 e9".repeat(3)    // shr eax, 8; out 0xe9, al
            + "5b 58 cf");                  // pop ebx; pop eax; iret
        put(rom, INTERRUPT, "50"            // push eax
            + "81 25 fc 5f 00 00 ff fd ff ff"   // and dword [flags], not IF
            + "8a 44 24 04 e6 e9"           // mov al, [vector]; out 0xe9, al
            + "58 83 c4 04 cf");            // pop eax; add esp, 4; iret
        put(rom, EXCEPTION, "8a 04 24 e6 e9"    // mov al, [vector]; out 0xe9, al
            + "fa f4 eb fd");               // cli; hlt; jmp to hlt
        put(rom, START, "66 b8 10 00"       // mov ax, 0x10
            + "8e d8 8e c0 8e d0"           // mov ds, ax; mov es, ax; mov ss, ax
            + "bc 00 60 00 00"              // mov esp, 0x6000
            + "b0 ff e6 21 e6 a1"           // mov al, 0xff; out 0x21, al; out 0xa1, al
            + "b0 30 e6 43"                 // mov al, channel 0 counts down once; out 0x43, al
            + "b0 01 e6 40 b0 00 e6 40"     // mov al, 1; out 0x40, al; mov al, 0; out 0x40, al
            + "0f 01 1d 00 19 ff ff"        // lidt [IDT_POINTER]
            + "fb f4 eb fd");               // sti; hlt; jmp to hlt
        put(rom, NOTHING, "cf");            // iret
        rom.putShort(IDT_POINTER, (short) 0x7ff).putInt(IDT_POINTER + 2, BASE + IDT);
        rom.putShort(GDT_POINTER, (short) 0x17).putInt(GDT_POINTER + 2, BASE + GDT);
        // Flat code and data of 4 GiB.
        rom.putLong(GDT + 8, 0x00cf_9b00_0000_ffffL).putLong(GDT + 16, 0x00cf_9300_0000_ffffL);
        put(rom, ENTRY, "fa"                // cli
            + "2e 66 0f 01 16 10 19"        // lgdt cs:[GDT_POINTER]
            + "0f 20 c0 0c 01 0f 22 c0"     // mov eax, cr0; or al, 1; mov cr0, eax
            + "66 ea c0 18 ff ff 08 00");   // jmp CODE:START
        rom.put(RESET, (byte) 0xe9).putShort(RESET + 1, (short) (ENTRY - (RESET + 3)));
        return rom.array();
    }

    private static void put(ByteBuffer rom, int offset, String code) {
        rom.put(offset, HexFormat.of().parseHex(code.replace(" ", "")));
    }
}
