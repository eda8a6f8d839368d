// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import irq.api.InterruptController;
import irq.api.MsiVector;
import java.util.concurrent.atomic.AtomicBoolean;
import vfio.api.msi.MsiRoute;

/**
 * One vector of one device, with all that is needed to route it again. Guarded by the container's lock, but for
 * {@link #keep}, which devices call, and {@link #uses}, which other containers ask.
 */
public final class Route {
    static final int NONE = -1;

    final MsiSender device;
    final Relay relay;
    InterruptController controller;
    volatile MsiVector vector;
    /** The bank the strategy was told of. */
    int bank = NONE;
    private final AtomicBoolean missed = new AtomicBoolean();
    /** Whether its messages pass a gate that is shut for messages of routes that wait. */
    private volatile boolean passes;
    private volatile long address = NONE;
    private volatile int data;
    /** The message before this one: a device sends it, or half of it, until it is programmed with the new one. */
    private volatile long earlier = NONE;
    private volatile int earlierData;

    Route(MsiSender device, Relay relay) {
        this.device = device;
        this.relay = relay;
    }

    /** {@return where its interrupts go} */
    public Relay relay() {
        return relay;
    }

    boolean connected() {
        return vector != null;
    }

    /** Whether it has a vector of that bank. Any thread. */
    boolean uses(int index) {
        MsiVector now = vector;
        return now != null && now.bank() == index;
    }

    MsiRoute described() {
        return new MsiRoute(device.name(), vector.bank(), vector.number(), address, data);
    }

    long address() {
        return address;
    }

    /** {@return the address of the message before; {@link #NONE} unless the device is being programmed} */
    long earlier() {
        return earlier;
    }

    /** Gives the device that message, unless it has it. */
    void program(long next) {
        if (next != address) {
            program(next, data);
        }
    }

    /**
     * Both messages are known before the device sends a piece of either. When it is programmed, the earlier one is not
     * on its way any more and is forgotten: it may be another device's by now, which the hardware cannot tell from this
     * one.
     */
    void program(long nextAddress, int nextData) {
        earlier = address;
        earlierData = data;
        address = nextAddress;
        data = nextData;
        device.msiOn(nextAddress, nextData);
        earlier = NONE;
        earlierData = nextData;
    }

    /** Its messages pass a gate that is shut, or are kept there. */
    void passes(boolean next) {
        passes = next;
    }

    /** An interrupt may have been lost: one too many is sent later rather than one too few. */
    void assumeMissed() {
        missed.set(true);
    }

    /** Delivers the kept messages as one interrupt at most, as hardware has one pending bit. */
    void deliver() {
        if (connected() && missed.getAndSet(false)) {
            relay.interrupt();
        }
    }

    /** {@return whether what a device writes at a shut gate is its message, which is then kept; lock-free} */
    boolean keep(int requester, long iova, int value) {
        boolean kept = !passes && (value == data || value == earlierData) && sent(iova)
            && requester == device.requester();
        if (kept) {
            missed.set(true);
        }
        return kept;
    }

    /** Whether it is either address, or, as a device's address is programmed in halves, one half of each. */
    private boolean sent(long iova) {
        long now = address;
        long before = earlier;
        return ((int) iova == (int) now || (int) iova == (int) before)
            && (iova >>> 32 == now >>> 32 || iova >>> 32 == before >>> 32);
    }
}
