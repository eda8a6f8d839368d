// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * One message register (MSIR): reads it, which clears it and lowers its source, and calls the handler of each bit that
 * was set, lowest first. A message that comes after the read sets its bit again; the source waits for the end of this
 * interrupt and comes again. So the order acknowledge, MSIR, handlers, EOI loses none. Stop 6 of the road for an MSI;
 * before it {@link MpicCore#run}, after it {@link MpicBank#deliver}.
 *
 * <p>Concurrency: called by one thread at a time, takes no lock except, off the road, when a vector becomes free.
 */
final class MsiRoute implements Route {
    private final BigEndianBus bus;
    private final long msir;
    private final int register;
    private final MpicBank bank;
    /** Withdrawn vectors of this register that old messages may still be under way for, as bits. */
    private final AtomicInteger withdrawn = new AtomicInteger();

    MsiRoute(BigEndianBus bus, long msir, int register, MpicBank bank) {
        this.bus = bus;
        this.msir = msir;
        this.register = register;
        this.bank = bank;
    }

    @Override
    public void interrupt() {
        // Looked at before the register is read: what was sent for these has then been cleared by the read.
        int settled = withdrawn.get();
        bank.deliver(register, bus.get(msir));
        if (settled != 0) {
            // In this order: as soon as a vector is free it can be allocated, and withdrawn again.
            withdrawn.getAndUpdate(bits -> bits & ~settled);
            bank.settled(register, settled);
        }
    }

    /** {@return the bits that were set: messages of a time before this driver} */
    int clear() {
        return bus.get(msir);
    }

    /** As {@link #interrupt}, if there is a vector that waits for it. */
    void settle() {
        if (withdrawn.get() != 0) {
            interrupt();
        }
    }

    void withdraw(int bit) {
        withdrawn.getAndUpdate(bits -> bits | 1 << bit);
    }
}
