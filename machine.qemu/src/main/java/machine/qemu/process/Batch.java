// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Commands to be sent to QEMU in one piece: they are carried out in order, and one round trip serves for all of them.
 * Values and addresses are unsigned; values are the target's own numbers, as its core reads them, whatever its byte
 * order.
 *
 * <pre>
 *  long[] results = qtest.batch().writel(CTPR, 0).readl(IACK).run();      // 0, the vector
 * </pre>
 *
 * <p>Empty again after {@link #run}, and can be used again. Not thread-safe; several threads use a batch each.
 */
public final class Batch {
    private static final byte[] DIGITS = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);

    private final Qtest qtest;
    private byte[] bytes = new byte[256];
    private int length;
    private int count;

    Batch(Qtest qtest) {
        this.qtest = qtest;
    }

    /** Reads a byte; its result is the value. */
    public Batch readb(long address) {
        return command("readb").hex(address).end();
    }

    /** Reads 2 bytes; its result is the value. */
    public Batch readw(long address) {
        return command("readw").hex(address).end();
    }

    /** Reads 4 bytes; its result is the value. */
    public Batch readl(long address) {
        return command("readl").hex(address).end();
    }

    /** Reads 8 bytes; its result is the value. */
    public Batch readq(long address) {
        return command("readq").hex(address).end();
    }

    /** Writes the low byte. */
    public Batch writeb(long address, long value) {
        return command("writeb").hex(address).hex(value & 0xff).end();
    }

    /** Writes the low 2 bytes. */
    public Batch writew(long address, long value) {
        return command("writew").hex(address).hex(value & 0xffff).end();
    }

    /** Writes the low 4 bytes. */
    public Batch writel(long address, long value) {
        return command("writel").hex(address).hex(value & 0xffff_ffffL).end();
    }

    /** Writes 8 bytes. */
    public Batch writeq(long address, long value) {
        return command("writeq").hex(address).hex(value).end();
    }

    /** Reads an 8-bit port (x86). */
    public Batch inb(int port) {
        return command("inb").hex(port).end();
    }

    /** Reads a 16-bit port (x86). */
    public Batch inw(int port) {
        return command("inw").hex(port).end();
    }

    /** Reads a 32-bit port (x86). */
    public Batch inl(int port) {
        return command("inl").hex(port).end();
    }

    /** Writes an 8-bit port (x86). */
    public Batch outb(int port, long value) {
        return command("outb").hex(port).hex(value & 0xff).end();
    }

    /** Writes a 16-bit port (x86). */
    public Batch outw(int port, long value) {
        return command("outw").hex(port).hex(value & 0xffff).end();
    }

    /** Writes a 32-bit port (x86). */
    public Batch outl(int port, long value) {
        return command("outl").hex(port).hex(value & 0xffff_ffffL).end();
    }

    /** Writes a block. */
    public Batch write(long address, byte[] from, int offset, int size) {
        if (size == 0) {
            return this;
        }
        command("write").hex(address).hex(size).text(" 0x");
        room(2 * size);
        for (int i = 0; i < size; i++) {
            bytes[length++] = DIGITS[from[offset + i] >> 4 & 15];
            bytes[length++] = DIGITS[from[offset + i] & 15];
        }
        return end();
    }

    /** Sets each byte of a block. */
    public Batch memset(long address, long size, int value) {
        return size == 0 ? this : command("memset").hex(address).hex(size).hex(value & 0xff).end();
    }

    /** Drives an input of a device; see {@link Qtest#setIrqIn}. */
    public Batch setIrqIn(String device, String gpio, int input, int level) {
        return command("set_irq_in " + device + ' ' + gpio + ' ').text(Integer.toString(input))
            .text(' ' + Integer.toString(level)).end();
    }

    /** {@return how many commands there are so far; a block of no bytes is none} */
    public int size() {
        return count;
    }

    /**
     * Sends the commands and waits until all have been carried out.
     *
     * @return a result for each command in order; 0 for one that returns nothing
     * @throws machine.api.ErrnoException EIO if QEMU refused one, with the first refused command (the others were
     *     carried out), or is gone, with its exit status and what it said
     */
    public long[] run() {
        long[] results = new long[count];
        try {
            qtest.run(bytes, length, results);
        } finally {
            length = 0;
            count = 0;
        }
        return results;
    }

    private Batch command(String name) {
        count++;
        return text(name);
    }

    private Batch text(String text) {
        room(text.length());
        for (int i = 0; i < text.length(); i++) {
            bytes[length++] = (byte) text.charAt(i);
        }
        return this;
    }

    private Batch hex(long value) {
        room(19);
        bytes[length++] = ' ';
        bytes[length++] = '0';
        bytes[length++] = 'x';
        for (int shift = Math.max(0, 63 - Long.numberOfLeadingZeros(value) & ~3); shift >= 0; shift -= 4) {
            bytes[length++] = DIGITS[(int) (value >>> shift) & 15];
        }
        return this;
    }

    private Batch end() {
        room(1);
        bytes[length++] = '\n';
        return this;
    }

    private void room(int more) {
        if (bytes.length - length < more) {
            bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, length + more));
        }
    }
}
