// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import machine.api.Bus;

/**
 * Queued invalidation: descriptors of 16 bytes, little-endian, fetched from memory between head and tail, in order.
 *
 * <p>One thread at a time fetches: the first that wrote IQT. Another thread's IQT only moves the tail and returns, as
 * on the chip. No lock is held while a descriptor is carried out, so one that drains ({@link Bus#sync}) holds up
 * nobody's registers.
 */
final class InvalidationQueue {
    private static final int DESCRIPTOR = 16;

    private final Bus bus;
    private final VtdCapabilities capabilities;
    private final TranslationCaches caches;
    private final InterruptRemapper interrupts;
    private final FaultRecorder faults;
    private final EventMessage completion;
    private boolean enabled;
    private boolean running;
    private boolean wide;
    private boolean waited;
    private long base;
    private int size;
    private int head;
    private int tail;

    InvalidationQueue(Bus bus, VtdSettings settings, TranslationCaches caches, InterruptRemapper interrupts,
        FaultRecorder faults) {
        this.bus = bus;
        this.capabilities = settings.capabilities();
        this.caches = caches;
        this.interrupts = interrupts;
        this.faults = faults;
        this.completion = new EventMessage(bus);
    }

    EventMessage completion() {
        return completion;
    }

    /** QIE 0 to 1: IQA takes effect, the head is 0. What lies before the tail is fetched at once. */
    void enable(long iqa) {
        synchronized (this) {
            base = iqa & -VtdRegisters.SIZE;
            wide = (iqa & 1 << 11) != 0;
            size = DESCRIPTOR << (8 + (int) (iqa & 7));
            head = 0;
            enabled = true;
        }
        run();
    }

    /** @return whether it was empty, else it stays on */
    synchronized boolean disable() {
        if (head != tail) {
            return false;
        }
        enabled = false;
        head = 0;
        return true;
    }

    synchronized boolean enabled() {
        return enabled;
    }

    synchronized int head() {
        return head;
    }

    synchronized int tail() {
        return tail;
    }

    /** IQT written. */
    void tail(int offset) {
        synchronized (this) {
            tail = offset & 0x7fff0;
        }
        run();
    }

    /** IQE cleared: what stopped the queue does not hold it any more, so it goes on at the head without another IQT. */
    void resume() {
        run();
    }

    /** ICS */
    synchronized int readCompletion() {
        return waited ? 1 : 0;
    }

    synchronized void writeCompletion(int value) {
        if ((value & 1) != 0) {
            waited = false;
            completion.withdraw();
        }
    }

    private void run() {
        synchronized (this) {
            if (running) {
                return;
            }
            running = true;
        }
        long at = next();
        try {
            while (at >= 0) {
                if (!carryOut(bus.read(at, 8), bus.read(at + 8, 8))) {
                    faults.queueError();
                } else {
                    advance();
                }
                at = next();
            }
        } finally {
            if (at >= 0) {
                stop();
            }
        }
    }

    /** {@return where the next descriptor lies; negative, and this thread fetches no more, if there is none} */
    private synchronized long next() {
        if (enabled && head != tail && !faults.queueStopped()) {
            if (tail < size) {
                return base + head;
            }
            faults.queueError();
        }
        running = false;
        return -1;
    }

    private synchronized void advance() {
        head = (head + DESCRIPTOR) % size;
    }

    private synchronized void stop() {
        running = false;
    }

    /** @return false if the descriptor is malformed: the head stays at it */
    private boolean carryOut(long low, long high) {
        if (wide) {
            return false;
        }
        return switch ((int) low & 0xf) {
            case VtdRegisters.QI_CONTEXT -> contexts(low, high);
            case VtdRegisters.QI_IOTLB -> translations(low, high);
            case VtdRegisters.QI_DEVICE_IOTLB ->
            capabilities.deviceTlb() && (low & 0xffff_0000_ffe0_fff0L | high & 0xffe) == 0;
            case VtdRegisters.QI_IEC -> interruptEntries(low, high);
            case VtdRegisters.QI_WAIT -> await(low, high);
            default -> false;
        };
    }

    private boolean contexts(long low, long high) {
        return (low & 0xfffc_0000_0000_ffc0L | high) == 0
            && caches.invalidateContexts((int) low >> 4 & 3, (int) (low >>> 32) & 0xffff, (int) (low >>> 48) & 3) != 0;
    }

    private boolean translations(long low, long high) {
        int granularity = (int) low >> 4 & 3;
        int mask = (int) high & 0x3f;
        if ((low & 0xffff_ffff_0000_ff00L | high & 0xf80) != 0
                || granularity == VtdRegisters.PAGE && mask > capabilities.maximumMask()) {
            return false;
        }
        if (caches.invalidateTranslations(granularity, (int) (low >>> 16) & 0xffff, high, mask) == 0) {
            return false;
        }
        if ((low & 0xc0) != 0) {
            bus.sync();
        }
        return true;
    }

    private boolean interruptEntries(long low, long high) {
        if (!capabilities.interruptRemapping() || (low & 0xffff_0000_07ff_ffe0L | high) != 0) {
            return false;
        }
        interrupts.invalidate();
        return true;
    }

    private boolean await(long low, long high) {
        if ((low & 0xffff_ff80L | high & 3) != 0) {
            return false;
        }
        if ((low & 1 << 5) != 0) {
            bus.write(Bus.CPU, high, 4, low >>> 32);
        }
        if ((low & 1 << 4) != 0) {
            boolean raise;
            synchronized (this) {
                raise = !waited;
                waited = true;
            }
            if (raise) {
                completion.raise();
            }
        }
        return true;
    }
}
