// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import java.util.concurrent.atomic.AtomicInteger;
import machine.api.PciFunction;

/**
 * The config space a user sees. BARs, the MSI capability and the interrupt line are scratch of the user's; memory
 * enable and bus master go through to the device; everything else is the device's own and read-only. The message the
 * device really sends is programmed here, by the host.
 *
 * <p>Concurrency: reads, writes and the pin are for any thread, the message is for a thread that holds the container's
 * lock. A write to the device may change the level of its pin, and so run interrupt handlers, this device's and
 * others': no lock of this object is held then. What the command register is to hold is one atomic word, and nobody
 * remembers a part of it elsewhere; a thread that writes the register checks again whether it still is what it should
 * be, so the last write is the right one.
 */
public final class ConfigSpace {
    private static final int COMMAND = 0x04;
    private static final int BARS = 0x10;
    private static final int BARS_END = 0x28;
    private static final int ROM = 0x30;
    private static final int CAPABILITIES = 0x34;
    private static final int INTERRUPT = 0x3c;
    private static final int MSI = 0x05;
    /** The end of the conventional config space, where the conventional capabilities are, in the extended space too. */
    private static final int HEADER_SPACE = 0x100;

    private static final int MEMORY = 0x0002;
    private static final int MASTER = 0x0004;
    private static final int INTX_OFF = 0x0400;
    /** I/O, memory, master, parity, SERR. */
    private static final int PASSED_ON = 0x0147;
    /** Beside what the register is to hold: the user has given the device back, and turns nothing on any more. */
    private static final int GIVEN_BACK = 0x0001_0000;
    private static final int STATUS_INTX = 0x0008_0000;
    private static final int CONTROL_ENABLE = 0x0001_0000;
    private static final int CONTROL_64BIT = 0x0080_0000;
    private static final int CONTROL_VECTORS = 0x0070_0000;
    private static final int CONTROL_CAPABLE = 0x000e_0000;
    private static final int CONTROL_CAPABLE_TO_VECTORS = 3;

    private final PciFunction function;
    private final int size;
    private final int msi;
    private final boolean wide;
    /** Guarded by this. */
    private final int[] scratch;
    /** The intended content of the command register, and {@link #GIVEN_BACK}. */
    private final AtomicInteger command = new AtomicInteger(INTX_OFF);
    // Written under the container's lock.
    private volatile boolean msiOn;
    private long msiAddress;
    private int msiData;

    public ConfigSpace(PciFunction function) {
        this.function = function;
        this.size = function.configSize();
        this.scratch = new int[size / 4];
        int found = find(MSI);
        this.wide = found != 0 && (dword(found) & CONTROL_64BIT) != 0;
        // One that sticks out of the header's space is a mad device's.
        this.msi = found + (wide ? 16 : 12) <= HEADER_SPACE ? found : 0;
        scratch[INTERRUPT / 4] = dword(INTERRUPT);
        if (msi != 0) {
            scratch[msi / 4] = dword(msi) & ~(CONTROL_ENABLE | CONTROL_VECTORS);
        }
    }

    public int size() {
        return size;
    }

    /** {@return how many MSI vectors the device is capable of; 0 without the capability} */
    public int msiVectors() {
        return msi == 0 ? 0 : 1 << (dword(msi) >>> 17 & 7);
    }

    public boolean hasPin() {
        return (dword(INTERRUPT) >>> 8 & 0xff) != 0;
    }

    public boolean memoryEnabled() {
        return (dword(COMMAND) & MEMORY) != 0;
    }

    /** As a freshly opened device has it: memory on, bus master off, and the pin masked: nobody listens to it yet. */
    public void open() {
        command.set(dword(COMMAND) & PASSED_ON & ~MASTER | MEMORY | INTX_OFF);
        drive();
    }

    /** The device stops: no bus master, and no write of its user's brings it back. */
    public void quiet() {
        command.getAndUpdate(now -> now & ~MASTER | GIVEN_BACK);
        drive();
    }

    /**
     * Whether the pin is asserted by this device, which the host alone has not seen yet: the pin may be shared. If so
     * it is masked, until {@link #unmaskIntx}. As pci_check_and_mask_intx of Linux. Lock-free: it is what an interrupt
     * handler asks.
     *
     * @return whether it was unmasked and is asserted: once for each {@link #unmaskIntx} at most
     */
    public boolean takeIntx() {
        while (true) {
            int before = command.get();
            int now = dword(COMMAND);
            if ((now & STATUS_INTX) == 0) {
                return false;
            }
            boolean first = (before & INTX_OFF) == 0;
            if (!first || command.compareAndSet(before, before | INTX_OFF)) {
                if (first || (now & INTX_OFF) == 0) {
                    // Not the first and yet not masked: somebody who unmasked late may be on this very thread, further
                    // down, and not come to look again before the pin is low.
                    drive();
                }
                return first;
            }
        }
    }

    /** The host masks the pin at the device, so that others on the same wire are not disturbed. */
    public void maskIntx() {
        command.getAndUpdate(now -> now | INTX_OFF);
        drive();
    }

    /** The host lets the pin through. If it is asserted, handlers may run before this returns. */
    public void unmaskIntx() {
        command.getAndUpdate(now -> now & ~INTX_OFF);
        drive();
    }

    /**
     * When it returns, every message the device has sent before has left it: PCI, a read's answer does not pass posted
     * writes.
     */
    public void msiOn(long address, int data) {
        msiOn = true;
        msiAddress = address;
        msiData = data;
        program();
        flush();
    }

    /** As {@link #msiOn}: after it, nothing rings the vector any more. */
    public void msiOff() {
        msiOn = false;
        program();
        flush();
    }

    private void flush() {
        if (msi != 0) {
            dword(msi);
        }
    }

    /**
     * Reset has cleared the device's registers: writes again what the host had programmed and the user had turned on,
     * the message before the device may send one. Linux does so around every function-level reset
     * (pci_dev_save_and_disable, pci_dev_restore).
     */
    public void afterReset() {
        program();
        drive();
    }

    public synchronized long read(int offset, int bytes) {
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            int at = offset + i;
            value |= (visible(at & ~3) >>> 8 * (at & 3) & 0xffL) << 8 * i;
        }
        return value;
    }

    public void write(int offset, int bytes, long value) {
        int word = offset & ~3;
        int shift = 8 * (offset & 3);
        int mask = (int) ((1L << 8 * bytes) - 1) << shift;
        int bits = (int) (value << shift) & mask;
        if (word != COMMAND) {
            store(word, bits, mask);
            return;
        }
        synchronized (this) {
            scratch[COMMAND / 4] = scratch[COMMAND / 4] & ~mask | bits & INTX_OFF;
        }
        command.getAndUpdate(now -> (now & GIVEN_BACK) != 0 ? now : now & ~(PASSED_ON & mask) | bits & PASSED_ON);
        drive();
    }

    private synchronized void store(int word, int bits, int mask) {
        int merged = visible(word) & ~mask | bits;
        if (word >= BARS && word < BARS_END) {
            scratch[word / 4] = bar(word, merged);
        } else if (word == INTERRUPT) {
            scratch[word / 4] = scratch[word / 4] & ~0xff | merged & 0xff;
        } else if (word == msi && msi != 0) {
            // As vfio_msi_config_write of Linux 6.1: no more are enabled than the device is capable of.
            int most = (scratch[word / 4] & CONTROL_CAPABLE) << CONTROL_CAPABLE_TO_VECTORS;
            scratch[word / 4] = scratch[word / 4] & ~CONTROL_VECTORS | Math.min(merged & CONTROL_VECTORS, most);
        } else if (insideMsi(word)) {
            scratch[word / 4] = merged;
        }
    }

    private int visible(int word) {
        if (word == COMMAND) {
            return dword(COMMAND) & ~INTX_OFF | scratch[word / 4];
        }
        if (word == msi && msi != 0) {
            return scratch[word / 4] | (msiOn ? CONTROL_ENABLE : 0);
        }
        if (word >= BARS && word < BARS_END) {
            return scratch[word / 4] | (upper(word) ? 0 : dword(word) & 0xf);
        }
        if (word == ROM) {
            return 0;
        }
        return word == INTERRUPT || insideMsi(word) ? scratch[word / 4] : dword(word);
    }

    /** Address bits below the size of a BAR read as zero: that is how its size is found. */
    private int bar(int word, int value) {
        boolean upper = upper(word);
        long bytes = function.barSize((word - BARS) / 4 - (upper ? 1 : 0));
        return bytes == 0 ? 0 : value & (int) (upper ? -bytes >>> 32 : -bytes);
    }

    /** Whether this is the upper half of a 64-bit BAR. */
    private boolean upper(int word) {
        return word > BARS && function.barSize((word - BARS) / 4) == 0 && (dword(word - 4) & 7) == 4;
    }

    private boolean insideMsi(int word) {
        return msi != 0 && word > msi && word < msi + (wide ? 16 : 12);
    }

    private void program() {
        if (msi == 0) {
            return;
        }
        int control = dword(msi) & ~(CONTROL_ENABLE | CONTROL_VECTORS);
        function.writeConfig(msi + 4, 4, msiAddress & 0xffffffffL);
        if (wide) {
            function.writeConfig(msi + 8, 4, msiAddress >>> 32);
        }
        function.writeConfig(msi + (wide ? 12 : 8), 2, msiData & 0xffff);
        function.writeConfig(msi + 2, 2, (control | (msiOn ? CONTROL_ENABLE : 0)) >>> 16);
    }

    /** Brings the command register to where the word has it. */
    private void drive() {
        int now;
        do {
            now = command.get();
            function.writeConfig(COMMAND, 2, now & 0xffff);
        } while (now != command.get());
    }

    private int find(int id) {
        if ((dword(COMMAND) >>> 20 & 1) == 0) {
            return 0;
        }
        int at = dword(CAPABILITIES) & 0xfc;
        // A chain longer than the space has dwords is a loop: the device is mad, and has no capability.
        for (int hops = 0; at >= 0x40 && hops < size / 4; hops++) {
            int header = dword(at);
            if ((header & 0xff) == id) {
                return at;
            }
            at = header >>> 8 & 0xfc;
        }
        return 0;
    }

    private int dword(int offset) {
        return (int) function.readConfig(offset, 4);
    }
}
