// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Invalidation through the queue: each request is one descriptor and a wait descriptor that writes a number into
 * memory, which is polled. Ring of 256 descriptors of 16 bytes, little-endian; since each request is waited for, it
 * never fills.
 *
 * <p>After a request that did not end well, whatever was thrown at whichever access, the next one begins with the queue
 * switched off and on again, empty. What was asked before is unconfirmed and stays so: the caller asks again.
 */
final class QueuedInvalidation implements Invalidation, AutoCloseable {
    private static final int RING = 0x1000;
    private static final int WAIT_AND_WRITE = VtdRegisters.QI_WAIT | 1 << 5;

    private final Bus bus;
    private final Registers registers;
    private final String path;
    private final DmaBuffer memory;
    private final long ring;
    private final long status;
    private final long drain;
    private int tail;
    private int number;
    /** The unit has been told where the ring is. */
    private boolean given;
    /** A request has begun and has not been confirmed. */
    private boolean broken;

    /** Switches the queue on; one that was left on is switched off first. */
    QueuedInvalidation(Bus bus, DmaMemory pool, Registers registers, VtdCapabilities capabilities, String path,
        boolean drains) {
        this.bus = bus;
        this.registers = registers;
        this.path = path;
        this.drain = drains ? (capabilities.drainsReads() ? 1 << 7 : 0) | (capabilities.drainsWrites() ? 1 << 6 : 0)
            : 0;
        memory = pool.allocate(2 * RING, RING, DmaMemory.Layout.CONTIGUOUS);
        ring = memory.physical(0);
        status = ring + RING;
        try {
            start();
        } catch (Throwable e) {
            if (!given) {
                memory.close();
            }
            throw e;
        }
    }

    /**
     * Switches the queue on, empty; first off, if it is on.
     *
     * @throws ErrnoException ETIMEDOUT if the unit does not finish what lies in it
     */
    private void start() {
        if ((registers.read(VtdRegisters.GSTS) & VtdRegisters.QIE) != 0) {
            if (stopped()) {
                // Nothing is fetched while IQE is set, so the tail may be taken back to the head, and what the unit
                // stumbled over is out.
                registers.write8(VtdRegisters.IQT, registers.read8(VtdRegisters.IQH));
                registers.write(VtdRegisters.FSTS, VtdRegisters.IQE);
            } else {
                // Nothing new to a unit that is at work; one that has come to a standstill in the middle goes on.
                registers.write8(VtdRegisters.IQT, registers.read8(VtdRegisters.IQT));
            }
            registers.await("IQH", () -> registers.read8(VtdRegisters.IQH) == registers.read8(VtdRegisters.IQT));
            registers.command(VtdRegisters.QIE, false);
        }
        memory.write(0, new byte[2 * RING], 0, 2 * RING);
        tail = 0;
        registers.write8(VtdRegisters.IQT, 0);
        given = true;
        registers.write8(VtdRegisters.IQA, ring);
        registers.command(VtdRegisters.QIE, true);
    }

    @Override
    public void contexts() {
        submit(VtdRegisters.QI_CONTEXT | VtdRegisters.GLOBAL << 4, 0);
    }

    @Override
    public void context(int domain, int source) {
        submit(VtdRegisters.QI_CONTEXT | VtdRegisters.DEVICE << 4 | (long) domain << 16 | (long) source << 32, 0);
    }

    @Override
    public void translations() {
        submit(VtdRegisters.QI_IOTLB | VtdRegisters.GLOBAL << 4 | drain, 0);
    }

    @Override
    public void translations(int domain) {
        submit(VtdRegisters.QI_IOTLB | VtdRegisters.DOMAIN << 4 | drain | (long) domain << 16, 0);
    }

    @Override
    public void translations(int domain, long address, int mask, boolean leaves) {
        submit(VtdRegisters.QI_IOTLB | VtdRegisters.PAGE << 4 | drain | (long) domain << 16,
            address | (leaves ? 1 << 6 : 0) | mask);
    }

    /** Forgets all interrupt remapping entries. */
    void interrupts() {
        submit(VtdRegisters.QI_IEC, 0);
    }

    /** Forgets one interrupt remapping entry. */
    void interrupt(int index) {
        submit(VtdRegisters.QI_IEC | 1 << 4 | (long) index << 32, 0);
    }

    /** Switches the queue off; the memory is given back only if the unit does not use it any more. */
    @Override
    public synchronized void close() {
        registers.command(VtdRegisters.QIE, false);
        memory.close();
    }

    /** The unit has been taken out: gives the memory back. */
    void abandon() {
        memory.close();
    }

    private synchronized void submit(long low, long high) {
        if (broken) {
            start();
        }
        broken = true;
        int at = tail;
        int expected = ++number;
        put(low, high);
        put(WAIT_AND_WRITE | (long) expected << 32, status);
        registers.write(VtdRegisters.IQT, tail);
        registers.await("the invalidation queue", () -> (int) bus.read(status, 4) == expected || stopped());
        if ((int) bus.read(status, 4) != expected) {
            skip(at, low, high, expected);
        }
        broken = false;
    }

    private boolean stopped() {
        return (registers.read(VtdRegisters.FSTS) & VtdRegisters.IQE) != 0;
    }

    /** The unit stopped at the descriptor: puts one there that does nothing, lets it go on, and reports. */
    private void skip(int at, long low, long high, int expected) {
        long head = registers.read8(VtdRegisters.IQH);
        if (head == at) {
            bus.write(ring + at + 8, 8, 0);
            bus.write(ring + at, 8, VtdRegisters.QI_WAIT);
            registers.write(VtdRegisters.FSTS, VtdRegisters.IQE);
            registers.write(VtdRegisters.IQT, tail);
            registers.await("the invalidation queue", () -> (int) bus.read(status, 4) == expected);
            broken = false;
        }
        throw new ErrnoException(Errno.EIO,
            "%s: the unit refused invalidation descriptor 0x%x 0x%x at 0x%x (head 0x%x)", path, low, high, at, head);
    }

    private void put(long low, long high) {
        bus.write(ring + tail + 8, 8, high);
        bus.write(ring + tail, 8, low);
        tail = (tail + 16) % RING;
    }
}
