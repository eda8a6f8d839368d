// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import irq.api.InterruptRemapping;
import irq.api.MsiMessage;
import java.util.BitSet;
import java.util.List;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;

/**
 * Interrupt remapping: one table, little-endian, for all units of the machine, so that an index means the same behind
 * each. Entries let through one source id only. Thread-safe.
 */
final class VtdRemapping implements InterruptRemapping {
    private static final System.Logger LOG = System.getLogger("iommu.vtd");
    private static final int ENTRY = 16;
    private static final long PRESENT = 1;
    /** SVT = 1: compare the source id; SQ = 0: all of it. */
    private static final long VERIFY = 1L << 18;

    private final Bus bus;
    private final List<Drhd> units;
    private final int size;
    private final boolean extended;
    private final DmaBuffer table;
    private final long base;
    private final BitSet allocated;
    /** Entries that came to nothing, and not every unit has confirmed that it forgot what it may have seen of them. */
    private final BitSet doubtful;

    /** @param size number of entries, a power of two */
    VtdRemapping(Machine machine, List<Drhd> units, int size) {
        this.bus = machine.bus();
        this.units = units;
        this.size = size;
        this.allocated = new BitSet(size);
        this.doubtful = new BitSet(size);
        this.extended = units.stream().allMatch(unit -> unit.capabilities().extendedInterrupts());
        table = machine.memory().allocate((long) size * ENTRY, 4096, DmaMemory.Layout.CONTIGUOUS);
        base = table.physical(0);
        try {
            table.write(0, new byte[size * ENTRY], 0, size * ENTRY);
        } catch (Throwable e) {
            table.close();
            throw e;
        }
        long irta = base | (extended ? 1 << 11 : 0) | Integer.numberOfTrailingZeros(size) - 1;
        units.forEach(unit -> unit.remap(irta));
    }

    @Override
    public synchronized int allocate(int requester, int vector, int destination) {
        if (requester >>> 16 != 0) {
            throw new ErrnoException(Errno.EINVAL, "requester 0x%x: a source id has 16 bits", requester);
        }
        if (vector < 16 || vector > 255) {
            throw new ErrnoException(Errno.EINVAL, "vector 0x%x: 16 to 255 can be raised", vector);
        }
        if (destination < 0 || !extended && destination > 255) {
            throw new ErrnoException(Errno.EINVAL, "destination 0x%x: an entry holds %d bits", destination,
                extended ? 31 : 8);
        }
        settle();
        int index = allocated.nextClearBit(0);
        while (doubtful.get(index)) {
            index = allocated.nextClearBit(index + 1);
        }
        if (index >= size) {
            throw new ErrnoException(Errno.ENOSPC,
                "all %d interrupt remapping entries are taken%s; release some or configure more", size,
                doubtful.isEmpty() ? ""
                    : ", " + doubtful.cardinality() + " because a unit does not confirm that it forgot them");
        }
        doubtful.set(index);
        try {
            store(index, 8, VERIFY | requester);
            store(index, 0, PRESENT | (long) vector << 16 | (long) destination << (extended ? 32 : 40));
            for (Drhd unit : units) {
                if (unit.capabilities().cachingMode()) {
                    unit.forgetInterrupt(index);
                }
            }
        } catch (Throwable e) {
            try {
                takeAway(index);
                doubtful.clear(index);
            } catch (Throwable again) {
                Failures.add(e, again);
            }
            throw e;
        }
        allocated.set(index);
        doubtful.clear(index);
        return index;
    }

    /**
     * {@inheritDoc} Does not wait for messages in flight, so a handler may call it.
     *
     * @throws ErrnoException also ETIMEDOUT or EIO if a unit does not confirm that it forgot the entry: it is absent in
     *     the table and still allocated; release it again
     */
    @Override
    public synchronized void release(int index) {
        known(index);
        takeAway(index);
        store(index, 8, 0);
        allocated.clear(index);
    }

    /** Makes an entry absent, and every unit forget it, whatever another one answers. */
    private void takeAway(int index) {
        store(index, 0, 0);
        Throwable failure = null;
        for (Drhd unit : units) {
            try {
                unit.forgetInterrupt(index);
            } catch (Throwable e) {
                failure = Failures.add(failure, e);
            }
        }
        Failures.end(failure);
    }

    /** Doubtful entries can be had again if all units forget them now; else there are others. */
    private void settle() {
        if (doubtful.isEmpty()) {
            return;
        }
        try {
            for (int index = doubtful.nextSetBit(0); index >= 0; index = doubtful.nextSetBit(index + 1)) {
                takeAway(index);
                doubtful.clear(index);
            }
        } catch (ErrnoException e) {
            LOG.log(System.Logger.Level.DEBUG, "some interrupt remapping entries stay out of use", e);
        }
    }

    private void store(int index, int offset, long value) {
        if (bus.write(base + (long) index * ENTRY + offset, 8, value) != Bus.OK) {
            throw new ErrnoException(Errno.EIO, "no memory answers at interrupt remapping entry 0x%x (0x%x)", index,
                base);
        }
    }

    /**
     * {@inheritDoc} VT-d: 19:5 handle, 4 remappable format, 3 subhandle valid, 2 handle bit 15; the data is the
     * subhandle, 0.
     */
    @Override
    public synchronized MsiMessage compose(int index) {
        known(index);
        return new MsiMessage(0, (index & 0x7fff) << 5 | 1 << 4 | 1 << 3 | (index >>> 15) << 2, 0);
    }

    /** Gives the table back. The units do not use it any more. */
    void close() {
        table.close();
    }

    private void known(int index) {
        if (index < 0 || !allocated.get(index)) {
            throw new ErrnoException(Errno.ENOENT, "interrupt remapping entry 0x%x is not allocated", index);
        }
    }
}
