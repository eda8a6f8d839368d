// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import static machine.api.pci.ConfigHeader.BARS;
import static machine.api.pci.ConfigHeader.BARS_END;
import static machine.api.pci.ConfigHeader.COMMAND;
import static machine.api.pci.ConfigHeader.ENABLES;
import static machine.api.pci.ConfigHeader.INTERRUPT_LINE;
import static machine.api.pci.ConfigHeader.INTERRUPT_PIN;
import static machine.api.pci.ConfigHeader.INTERRUPT_STATUS;
import static machine.api.pci.ConfigHeader.INTX_DISABLE;
import static machine.api.pci.ConfigHeader.MASTER;
import static machine.api.pci.ConfigHeader.MEMORY;
import static machine.api.pci.ConfigHeader.ROM;

import java.util.concurrent.atomic.AtomicInteger;
import machine.api.PciFunction;
import machine.api.pci.MsiCapability;

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
    /** Beside what the register is to hold: the user has given the device back, and turns nothing on any more. */
    private static final int GIVEN_BACK = 0x0001_0000;
    /** Of the double word that begins with the command register. */
    private static final int STATUS_INTX = INTERRUPT_STATUS << 16;
    // Of the double word that MSI begins with: its control is the upper half.
    private static final int CONTROL_ENABLE = MsiCapability.ENABLE << 16;
    private static final int CONTROL_VECTORS = MsiCapability.ENABLED << 16;
    private static final int CONTROL_CAPABLE = MsiCapability.CAPABLE << 16;
    private static final int CONTROL_CAPABLE_TO_VECTORS = 3;

    private final PciFunction function;
    private final int size;
    /** The device's; null if it has none. */
    private final MsiCapability msi;
    /** Guarded by this. */
    private final int[] scratch;
    /** The intended content of the command register, and {@link #GIVEN_BACK}. */
    private final AtomicInteger command = new AtomicInteger(INTX_DISABLE);
    // Written under the container's lock.
    private volatile boolean msiOn;
    private long msiAddress;
    private int msiData;

    public ConfigSpace(PciFunction function) {
        this.function = function;
        this.size = function.configSize();
        this.scratch = new int[size / 4];
        this.msi = MsiCapability.of(function).orElse(null);
        scratch[INTERRUPT_LINE / 4] = dword(INTERRUPT_LINE);
        if (msi != null) {
            scratch[msi.offset() / 4] = dword(msi.offset()) & ~(CONTROL_ENABLE | CONTROL_VECTORS);
        }
    }

    public int size() {
        return size;
    }

    /** {@return how many MSI vectors the device is capable of; 0 without the capability} */
    public int msiVectors() {
        return msi == null ? 0 : msi.vectors();
    }

    public boolean hasPin() {
        return function.readConfig(INTERRUPT_PIN, 1) != 0;
    }

    public boolean memoryEnabled() {
        return (dword(COMMAND) & MEMORY) != 0;
    }

    /** As a freshly opened device has it: memory on, bus master off, and the pin masked: nobody listens to it yet. */
    public void open() {
        command.set(dword(COMMAND) & ENABLES & ~MASTER | MEMORY | INTX_DISABLE);
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
            boolean first = (before & INTX_DISABLE) == 0;
            if (!first || command.compareAndSet(before, before | INTX_DISABLE)) {
                if (first || (now & INTX_DISABLE) == 0) {
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
        command.getAndUpdate(now -> now | INTX_DISABLE);
        drive();
    }

    /** The host lets the pin through. If it is asserted, handlers may run before this returns. */
    public void unmaskIntx() {
        command.getAndUpdate(now -> now & ~INTX_DISABLE);
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
        if (msi != null) {
            dword(msi.offset());
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
            scratch[COMMAND / 4] = scratch[COMMAND / 4] & ~mask | bits & INTX_DISABLE;
        }
        command.getAndUpdate(now -> (now & GIVEN_BACK) != 0 ? now : now & ~(ENABLES & mask) | bits & ENABLES);
        drive();
    }

    private synchronized void store(int word, int bits, int mask) {
        int merged = visible(word) & ~mask | bits;
        if (word >= BARS && word < BARS_END) {
            scratch[word / 4] = bar(word, merged);
        } else if (word == INTERRUPT_LINE) {
            scratch[word / 4] = scratch[word / 4] & ~0xff | merged & 0xff;
        } else if (msi != null && word == msi.offset()) {
            // As vfio_msi_config_write of Linux 6.1: no more are enabled than the device is capable of.
            int most = (scratch[word / 4] & CONTROL_CAPABLE) << CONTROL_CAPABLE_TO_VECTORS;
            scratch[word / 4] = scratch[word / 4] & ~CONTROL_VECTORS | Math.min(merged & CONTROL_VECTORS, most);
        } else if (insideMsi(word)) {
            scratch[word / 4] = merged;
        }
    }

    private int visible(int word) {
        if (word == COMMAND) {
            return dword(COMMAND) & ~INTX_DISABLE | scratch[word / 4];
        }
        if (msi != null && word == msi.offset()) {
            return scratch[word / 4] | (msiOn ? CONTROL_ENABLE : 0);
        }
        if (word >= BARS && word < BARS_END) {
            return scratch[word / 4] | (upper(word) ? 0 : dword(word) & 0xf);
        }
        if (word == ROM) {
            return 0;
        }
        return word == INTERRUPT_LINE || insideMsi(word) ? scratch[word / 4] : dword(word);
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
        return msi != null && word > msi.offset() && word < msi.end();
    }

    private void program() {
        if (msi != null) {
            msi.program(function, msiOn, msiAddress, msiData);
        }
    }

    /** Brings the command register to where the word has it. */
    private void drive() {
        int now;
        do {
            now = command.get();
            function.writeConfig(COMMAND, 2, now & 0xffff);
        } while (now != command.get());
    }

    private int dword(int offset) {
        return (int) function.readConfig(offset, 4);
    }
}
