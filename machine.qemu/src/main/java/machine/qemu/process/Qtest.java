// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * QEMU's qtest protocol: a core's accesses, made from outside. Addresses are physical; values are the target's own
 * numbers, as its core reads them, whatever its byte order. QEMU answers nothing with zeroes, not with all ones, and
 * does not say so.
 *
 * <p>Any thread; several wait in one queue. Each method waits for its round trip (some 50 µs); {@link #batch} has many
 * in one.
 *
 * <p>Errors of all methods: {@link ErrnoException} EIO if QEMU refuses the command, with QEMU's word, or is gone, with
 * its exit status and what it said last.
 */
public final class Qtest {
    /** Is told of each change of an intercepted line, in order. */
    public interface IrqListener {
        /**
         * Called on the thread that reads from QEMU: must be quick and must not ask QEMU anything. A change that a
         * command causes is told before the command's method returns.
         *
         * @param line the number of the line in the intercepted device
         */
        void irq(int line, boolean raised);
    }

    /** The name of inputs that QEMU gives none. */
    public static final String UNNAMED_IN = "unnamed-gpio-in";

    /** Blocks go in pieces of this many bytes, so that QEMU is not kept from its timers for long. */
    private static final int PIECE = 1 << 18;

    /** Replies to a number of commands. */
    private static final class Replies extends Connection.Pending {
        private final long[] values;
        private final boolean textual;
        private int next;
        private byte[] text = {};
        private int failed = -1;
        private String failure;

        Replies(long[] values, boolean textual) {
            this.values = values;
            this.textual = textual;
        }

        @Override
        boolean line(byte[] buffer, int from, int to) {
            boolean ok = to - from >= 2 && buffer[from] == 'O' && buffer[from + 1] == 'K';
            if (!ok) {
                if (failed < 0) {
                    failed = next;
                    failure = new String(buffer, from, to - from, StandardCharsets.US_ASCII);
                }
            } else if (to - from > 3 && textual) {
                text = Arrays.copyOfRange(buffer, from + 3, to);
            } else if (to - from > 5) {
                values[next] = hex(buffer, from + 5, to);
            }
            return ++next == values.length;
        }

        private static long hex(byte[] buffer, int from, int to) {
            long value = 0;
            for (int i = from; i < to; i++) {
                value = value << 4 | Character.digit(buffer[i], 16) & 15;
            }
            return value;
        }
    }

    private final Connection connection;
    private final Map<Integer, Boolean> levels = new ConcurrentHashMap<>();
    private volatile IrqListener listener = (line, raised) -> {
    };

    Qtest(Connection connection) {
        this.connection = connection;
    }

    /** {@return an empty batch} */
    public Batch batch() {
        return new Batch(this);
    }

    /** Reads a byte. */
    public int readb(long address) {
        return (int) batch().readb(address).run()[0];
    }

    /** Reads 2 bytes. */
    public int readw(long address) {
        return (int) batch().readw(address).run()[0];
    }

    /** Reads 4 bytes. */
    public long readl(long address) {
        return batch().readl(address).run()[0];
    }

    /** Reads 8 bytes. */
    public long readq(long address) {
        return batch().readq(address).run()[0];
    }

    /** Writes the low byte. */
    public void writeb(long address, long value) {
        batch().writeb(address, value).run();
    }

    /** Writes the low 2 bytes. */
    public void writew(long address, long value) {
        batch().writew(address, value).run();
    }

    /** Writes the low 4 bytes. */
    public void writel(long address, long value) {
        batch().writel(address, value).run();
    }

    /** Writes 8 bytes. */
    public void writeq(long address, long value) {
        batch().writeq(address, value).run();
    }

    /** Reads a 32-bit port (x86). */
    public long inl(int port) {
        return batch().inl(port).run()[0];
    }

    /** Writes a 32-bit port (x86). */
    public void outl(int port, long value) {
        batch().outl(port, value).run();
    }

    /** Reads a block of memory. */
    public void memread(long address, byte[] to, int offset, int size) {
        while (size > 0) {
            int piece = Math.min(size, PIECE);
            byte[] bytes = Base64.getDecoder().decode(ask(String.format("b64read 0x%x 0x%x", address, piece)));
            System.arraycopy(bytes, 0, to, offset, piece);
            address += piece;
            offset += piece;
            size -= piece;
        }
    }

    /** Reads a block of memory. */
    public byte[] memread(long address, int size) {
        byte[] bytes = new byte[size];
        memread(address, bytes, 0, size);
        return bytes;
    }

    /** Writes a block of memory. */
    public void memwrite(long address, byte[] from, int offset, int size) {
        while (size > 0) {
            int piece = Math.min(size, PIECE);
            byte[] bytes = Base64.getEncoder().encode(Arrays.copyOfRange(from, offset, offset + piece));
            ask(String.format("b64write 0x%x 0x%x %s", address, piece, new String(bytes, StandardCharsets.US_ASCII)));
            address += piece;
            offset += piece;
            size -= piece;
        }
    }

    /** Writes a block of memory. */
    public void memwrite(long address, byte[] from) {
        memwrite(address, from, 0, from.length);
    }

    /** Sets each byte of a block. */
    public void memset(long address, long size, int value) {
        batch().memset(address, size, value).run();
    }

    /** {@return the byte order of the target's core} */
    public ByteOrder order() {
        return ask("endianness").equals("big") ? ByteOrder.BIG_ENDIAN : ByteOrder.LITTLE_ENDIAN;
    }

    /**
     * Has QEMU tell of the unnamed inputs of a device instead of driving them: {@link #irq} and {@link #listen} know
     * from then on. A process has one slot for this; a second device is refused.
     *
     * @param device QOM path, e.g. {@code /machine/unattached/device[0]} for the first core
     */
    public void interceptIrqIn(String device) {
        ask("irq_intercept_in " + device);
    }

    /** As {@link #interceptIrqIn}, for outputs. QEMU shows unnamed ones only: of an MPIC, nothing. */
    public void interceptIrqOut(String device) {
        ask("irq_intercept_out " + device);
    }

    /**
     * Drives an input of a device.
     *
     * @param device QOM path, e.g. {@code /machine/pic}
     * @param gpio the input's name; {@link #UNNAMED_IN} for those without
     * @param level 0 or 1
     */
    public void setIrqIn(String device, String gpio, int input, int level) {
        batch().setIrqIn(device, gpio, input, level).run();
    }

    /** {@return the level of an intercepted line, as of the last reply; false until it was first raised} */
    public boolean irq(int line) {
        return levels.getOrDefault(line, false);
    }

    /** Sets the listener for changes of the intercepted lines; there is none before. */
    public void listen(IrqListener to) {
        listener = to;
    }

    /** A round trip that does nothing: whatever QEMU was told before has happened, and what it told of it is known. */
    public void settle() {
        ask("endianness");
    }

    /**
     * Any command.
     *
     * @return the reply after its OK; empty if that was all
     */
    public String ask(String command) {
        Replies replies = new Replies(new long[1], true);
        byte[] bytes = (command + '\n').getBytes(StandardCharsets.US_ASCII);
        send(bytes, bytes.length, replies);
        return new String(replies.text, StandardCharsets.US_ASCII);
    }

    void run(byte[] commands, int length, long[] values) {
        if (values.length > 0) {
            send(commands, length, new Replies(values, false));
        }
    }

    /** A line that came by itself. */
    boolean unasked(byte[] buffer, int from, int to) {
        if (to - from < 4 || buffer[from] != 'I') {
            return false;
        }
        String[] words = new String(buffer, from, to - from, StandardCharsets.US_ASCII).split(" ");
        int line = Integer.parseInt(words[2]);
        boolean raised = words[1].equals("raise");
        levels.put(line, raised);
        listener.irq(line, raised);
        return true;
    }

    private void send(byte[] bytes, int length, Replies replies) {
        connection.request(bytes, length, replies);
        if (replies.failed >= 0) {
            String command = new String(bytes, 0, length, StandardCharsets.US_ASCII).split("\n")[replies.failed];
            throw new ErrnoException(Errno.EIO, "QEMU refused \"%s\": %s",
                command.substring(0, Math.min(80, command.length())), replies.failure);
        }
    }
}
