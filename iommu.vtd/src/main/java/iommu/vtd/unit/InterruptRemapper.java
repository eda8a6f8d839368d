// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdRegisters;
import java.util.concurrent.atomic.AtomicReferenceArray;
import machine.api.Access;
import machine.api.Bus;
import machine.api.Mmio;
import machine.api.Refusal;

/**
 * Interrupt remapping: stops 2 and 3 of the road for an MSI. Before it {@link VtdUnit#translate}, after it the local
 * APIC's window at 0xfee00000.
 *
 * <p>{@link #target} sends an interrupt request into a private window of the unit; the write that arrives there brings
 * the data, which the address alone lacks, is remapped and goes on as a message in compatibility format. Lock-free;
 * allocates only to cache an entry it reads for the first time.
 *
 * <pre>
 *  IRTE low  63..32 destination  31..24 0  23..16 vector  15 IM  14..12 0  11..8 sw
 *             7..5 DLM  4 TM  3 RH  2 DM  1 FPD  0 P
 *  IRTE high 63..20 0  19..18 SVT  17..16 SQ  15..0 SID
 * </pre>
 */
final class InterruptRemapper implements Mmio {
    /** Bytes of the range 0xfee00000, and of the private window. */
    static final long RANGE = 1L << 20;

    private static final long BROADCAST = 0xffff_ffffL;

    /** The table as SIRTP latched it, with what is cached of it. */
    private static final class Table {
        final long base;
        final boolean extended;
        final AtomicReferenceArray<Entry> cache;

        Table(long irta) {
            base = irta & -VtdRegisters.SIZE;
            extended = (irta & 1 << 11) != 0;
            cache = new AtomicReferenceArray<>(2 << (int) (irta & 0xf));
        }
    }

    private static final class Entry {
        final long low;
        final long high;
        final long epoch;

        Entry(long low, long high, long epoch) {
            this.low = low;
            this.high = high;
            this.epoch = epoch;
        }
    }

    private final Bus bus;
    private final FaultRecorder faults;
    private final long window;
    private final boolean extendedMode;
    private final boolean cachingMode;
    private volatile boolean enabled;
    private volatile boolean compatibility;
    private volatile Table table = new Table(0);
    private volatile long epoch;

    /** @param window where the private window hangs on the bus */
    InterruptRemapper(Bus bus, VtdSettings settings, FaultRecorder faults, long window) {
        this.bus = bus;
        this.faults = faults;
        this.window = window;
        this.extendedMode = settings.capabilities().extendedInterrupts();
        this.cachingMode = settings.capabilities().cachingMode();
    }

    /** IRE */
    void enable(boolean on) {
        enabled = on;
    }

    /** {@return IRE} */
    boolean enabled() {
        return enabled;
    }

    /** CFI */
    void compatibility(boolean passes) {
        compatibility = passes;
    }

    /** SIRTP */
    void table(long irta) {
        table = new Table(extendedMode ? irta : irta & ~(1L << 11));
    }

    /** IEC invalidation, always of all entries: the chip may. What is being read meanwhile does not stay. */
    synchronized void invalidate() {
        epoch++;
    }

    /** {@return where an access to 0xfeexxxxx goes} */
    long target(long iova, int length, int access) {
        if (access != Access.WRITE || length != 4 || (iova & 3) != 0) {
            return Refusal.UNSUPPORTED;
        }
        return enabled ? window + (iova & RANGE - 1) : iova;
    }

    /** Nothing is to be read there. */
    @Override
    public long read(long offset, int size) {
        return -1;
    }

    /** An interrupt request on its way. Cores have no business here: theirs are dropped. */
    @Override
    public void write(int requester, long offset, int size, long value) {
        if (requester == Bus.CPU || size != 4) {
            return;
        }
        Table now = table;
        if ((offset & 1 << 4) == 0) {
            if (compatibility && !now.extended) {
                bus.write(requester, VtdRegisters.INTERRUPTS + offset, 4, value);
            } else {
                faults.record(requester, 0, Reason.COMPATIBILITY_BLOCKED, false);
            }
            return;
        }
        int index = (int) (offset >>> 5 & 0x7fff | (offset & 4) << 13);
        if ((offset & 8) != 0) {
            if (value >>> 16 != 0) {
                refuse(requester, index, Reason.INTERRUPT_RESERVED);
                return;
            }
            index += (int) value;
        }
        if (index >= now.cache.length()) {
            refuse(requester, index, Reason.INTERRUPT_INDEX);
            return;
        }
        Entry entry = now.cache.getAcquire(index);
        if (entry == null || entry.epoch != epoch) {
            entry = fetch(now, index);
        }
        int reason = check(now, entry, requester);
        if (reason == 0) {
            deliver(now, entry, requester);
        } else if (reason == Reason.IRTE_ACCESS || (entry.low & 2) == 0) {
            refuse(requester, index, reason);
        }
    }

    private Entry fetch(Table now, int index) {
        long before = epoch;
        long address = now.base + 16L * index;
        long low;
        long high;
        do {
            // The chip reads the 16 bytes at once.
            low = bus.read(address, 8);
            high = bus.read(address + 8, 8);
        } while (bus.read(address, 8) != low);
        Entry entry = new Entry(low, high, before);
        if ((low & 1) != 0 || cachingMode) {
            now.cache.setRelease(index, entry);
        }
        return entry;
    }

    private static int check(Table now, Entry entry, int requester) {
        long low = entry.low;
        if (low == -1) {
            return Reason.IRTE_ACCESS;
        }
        if ((low & 1) == 0) {
            return Reason.IRTE_NOT_PRESENT;
        }
        // Posted interrupts (IM) are not in this unit: CAP.PI is 0, so the bit is reserved.
        long reserved = now.extended ? 0xff00_f000L : 0xffff_00ff_ff00_f000L;
        if ((low & reserved | entry.high & -1L << 20) != 0) {
            return Reason.IRTE_RESERVED;
        }
        return sentBy(entry.high, requester) ? 0 : Reason.SOURCE_REFUSED;
    }

    private static boolean sentBy(long high, int requester) {
        int source = (int) high & 0xffff;
        return switch ((int) (high >>> 18) & 3) {
            case 0 -> true;
            case 1 -> {
                // SQ: 0 all bits, 1 not function bit 2, 2 not bits 2:1, 3 no function bit.
                int ignored = 8 - (8 >> ((int) (high >>> 16) & 3));
                yield ((source ^ requester) & 0xffff & ~ignored) == 0;
            }
            case 2 -> requester >>> 8 >= source >>> 8 && requester >>> 8 <= (source & 0xff);
            default -> false;
        };
    }

    private void deliver(Table now, Entry entry, int requester) {
        long low = entry.low;
        long destination = now.extended ? low >>> 32 : low >>> 40 & 0xff;
        long apic;
        if (destination == BROADCAST) {
            apic = 0xff << 12;
        } else if (destination < 1 << 15) {
            // Bits 14:8 stand in 11:5, the extended destination id of the compatibility format.
            apic = (destination & 0xff) << 12 | destination >>> 8 << 5;
        } else {
            return;
        }
        long address = VtdRegisters.INTERRUPTS | apic | low & 8 | low & 4;
        boolean level = (low & 0x10) != 0;
        long data = low >>> 16 & 0xff | (low >>> 5 & 7) << 8 | (level ? 0xc000 : 0);
        bus.write(requester, address, 4, data);
    }

    private void refuse(int requester, int index, int reason) {
        faults.record(requester, (long) index << 48, reason, false);
    }
}
