// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Node.Range;
import machine.api.Refusal;
import machine.qemu.process.Batch;
import machine.qemu.process.Qtest;

/**
 * The physical address space of a QEMU machine. Each access is a command of its own and QEMU carries them out one after
 * the other, in between devices' accesses, never within one: that makes each atomic and ordered.
 *
 * <p>QEMU answers where there is nothing with zeroes and does not say so. What answers is therefore known here: memory
 * and the register windows that the machine's description lists.
 *
 * <p>Every access throws {@link ErrnoException} EIO if the process has ended by itself, with its last words. After the
 * machine was closed nothing answers any more.
 */
final class QemuBus implements Bus {
    /** Carries out accesses to a window that is not on QEMU's bus but inside its core. */
    interface Inside {
        long read(long physical);

        void write(long physical, long value);
    }

    private record Target(long start, long end, boolean memory, Inside inside) {
    }

    private final Qtest qtest;
    private final boolean swaps;
    private volatile Target[] targets;

    /**
     * @param memory the machine's memory
     * @param windows register windows that are on the bus
     * @param core a window that only the core reaches, in 4-byte accesses; null without one
     */
    QemuBus(Qtest qtest, List<Range> memory, List<Range> windows, Range core, Inside inside) {
        this.qtest = qtest;
        swaps = qtest.order() == ByteOrder.BIG_ENDIAN;
        List<Target> all = new ArrayList<>();
        memory.forEach(range -> all.add(new Target(range.physical(), range.physical() + range.size(), true, null)));
        windows.forEach(range -> all.add(new Target(range.physical(), range.physical() + range.size(), false, null)));
        if (core != null) {
            all.add(new Target(core.physical(), core.physical() + core.size(), false, inside));
        }
        targets = all.toArray(Target[]::new);
    }

    /** From now on nothing answers. */
    void close() {
        targets = new Target[0];
    }

    @Override
    public long read(long physical, int size) {
        Target target = target(physical, size);
        if (target == null) {
            return ones(size);
        }
        if (target.inside != null) {
            return size == 4 && (physical & 3) == 0 ? target.inside.read(physical) : ones(size);
        }
        return swapped(read(qtest.batch(), physical, size).run()[0], size);
    }

    @Override
    public int write(int requester, long physical, int size, long value) {
        Target target = target(physical, size);
        if (target == null || target.inside != null && (size != 4 || (physical & 3) != 0)) {
            return Refusal.NO_TARGET;
        }
        if (target.inside != null) {
            target.inside.write(physical, value & ones(4));
        } else {
            write(qtest.batch(), physical, size, swapped(value & ones(size), size)).run();
        }
        return OK;
    }

    @Override
    public int read(long physical, byte[] to, int offset, int length) {
        Target target = target(physical, length);
        if (target != null && target.memory) {
            qtest.memread(physical, to, offset, length);
            return OK;
        }
        int status = OK;
        for (int done = 0; done < length; ) {
            int size = piece(physical + done, length - done);
            if (target(physical + done, size) == null) {
                status = Refusal.NO_TARGET;
            }
            long value = read(physical + done, size);
            for (int i = 0; i < size; i++) {
                to[offset + done + i] = (byte) (value >>> 8 * i);
            }
            done += size;
        }
        return status;
    }

    @Override
    public int write(int requester, long physical, byte[] from, int offset, int length) {
        Target target = target(physical, length);
        if (target != null && target.memory) {
            qtest.memwrite(physical, from, offset, length);
            return OK;
        }
        int status = OK;
        for (int done = 0; done < length; ) {
            int size = piece(physical + done, length - done);
            long value = 0;
            for (int i = 0; i < size; i++) {
                value |= (from[offset + done + i] & 0xffL) << 8 * i;
            }
            int one = write(requester, physical + done, size, value);
            status = one == OK ? status : one;
            done += size;
        }
        return status;
    }

    /**
     * {@inheritDoc} QEMU's devices make each of their accesses in one go on the thread that also serves qtest: once it
     * has served something, none is under way.
     */
    @Override
    public void sync() {
        if (targets.length > 0) {
            qtest.settle();
        }
    }

    /** @throws ErrnoException EOPNOTSUPP always: QEMU's address space takes no windows from outside */
    @Override
    public Attachment attach(long physical, long size, Mmio window) {
        throw new ErrnoException(Errno.EOPNOTSUPP,
            "window 0x%x+0x%x: the bus is QEMU's, and only its own devices have registers on it",
            physical, size);
    }

    private Target target(long physical, int size) {
        for (Target target : targets) {
            if (physical >= target.start && physical <= target.end - size) {
                return target;
            }
        }
        return null;
    }

    private static Batch read(Batch batch, long physical, int size) {
        return switch (size) {
            case 1 -> batch.readb(physical);
            case 2 -> batch.readw(physical);
            case 4 -> batch.readl(physical);
            case 8 -> batch.readq(physical);
            default -> throw new IllegalArgumentException("access of " + size + " bytes");
        };
    }

    private static Batch write(Batch batch, long physical, int size, long value) {
        return switch (size) {
            case 1 -> batch.writeb(physical, value);
            case 2 -> batch.writew(physical, value);
            case 4 -> batch.writel(physical, value);
            case 8 -> batch.writeq(physical, value);
            default -> throw new IllegalArgumentException("access of " + size + " bytes");
        };
    }

    /** The core's own reading of the bytes to the bus's little-endian one, and back. */
    private long swapped(long value, int size) {
        return swaps ? Long.reverseBytes(value) >>> 64 - 8 * size : value;
    }

    /** The largest naturally aligned piece of at most 4 bytes. */
    private static int piece(long physical, int length) {
        if ((physical & 3) == 0 && length >= 4) {
            return 4;
        }
        return (physical & 1) == 0 && length >= 2 ? 2 : 1;
    }

    private static long ones(int size) {
        return size == 8 ? -1L : (1L << 8 * size) - 1;
    }
}
