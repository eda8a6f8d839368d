// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import machine.api.Bus;
import machine.api.Mmio;

/**
 * The register page of the unit, little-endian. Accesses of 4 and 8 naturally aligned bytes; 8 bytes are two accesses
 * of 4, the lower first. Writes of other sizes and writes by devices do nothing.
 *
 * <p>The command registers have a lock; the fault registers have another, that of {@link FaultRecorder}, so that an
 * interrupt handler inside a device's access can read and clear faults while somebody drains.
 */
final class RegisterBlock implements Mmio {
    private static final int ICC = 1 << 31;

    private final VtdUnit unit;
    private final Bus bus;
    private final VtdCapabilities capabilities;
    private final FaultRecorder faults;
    private final TranslationCaches caches;
    private final InterruptRemapper interrupts;
    private final InvalidationQueue queue;
    private final int frcd;
    private final int frcdEnd;
    private final int iva;
    private int status;
    private long rtaddr;
    private long ccmd;
    private long iqa;
    private long irta;
    private long address;
    private long iotlb;

    RegisterBlock(VtdUnit unit, Bus bus, VtdSettings settings, FaultRecorder faults, TranslationCaches caches,
        InterruptRemapper interrupts,
            InvalidationQueue queue) {
        this.unit = unit;
        this.bus = bus;
        this.capabilities = settings.capabilities();
        this.faults = faults;
        this.caches = caches;
        this.interrupts = interrupts;
        this.queue = queue;
        frcd = capabilities.faultOffset();
        frcdEnd = frcd + 16 * capabilities.faultRecords();
        iva = capabilities.iotlbOffset();
    }

    @Override
    public long read(long offset, int size) {
        int at = (int) offset & -4;
        long low = read(at) & 0xffff_ffffL;
        if (size == 8) {
            return low | (long) read(at + 4) << 32;
        }
        return low >>> 8 * (offset & 3);
    }

    @Override
    public void write(int requester, long offset, int size, long value) {
        if (requester != Bus.CPU || size < 4 || (offset & size - 1) != 0) {
            return;
        }
        write((int) offset, (int) value);
        if (size == 8) {
            write((int) offset + 4, (int) (value >>> 32));
        }
    }

    private int read(int at) {
        if (at >= frcd && at < frcdEnd) {
            return faults.readRecord(at - frcd);
        }
        return switch (at) {
            case VtdRegisters.VER -> 0x10;
            case VtdRegisters.CAP, VtdRegisters.CAP + 4 -> half(capabilities.cap(), at);
            case VtdRegisters.ECAP, VtdRegisters.ECAP + 4 -> half(capabilities.ecap(), at);
            case VtdRegisters.FSTS -> faults.readStatus();
            case VtdRegisters.FECTL, VtdRegisters.FECTL + 4, VtdRegisters.FECTL + 8, VtdRegisters.FECTL + 12 ->
                faults.event().read(at - VtdRegisters.FECTL >> 2);
            case VtdRegisters.IQH -> queue.head();
            case VtdRegisters.IQT -> queue.tail();
            case VtdRegisters.ICS -> queue.readCompletion();
            case VtdRegisters.IECTL, VtdRegisters.IECTL + 4, VtdRegisters.IECTL + 8, VtdRegisters.IECTL + 12 ->
                queue.completion().read(at - VtdRegisters.IECTL >> 2);
            default -> command(at);
        };
    }

    private synchronized int command(int at) {
        return switch (at & -8) {
            case VtdRegisters.GCMD -> at == VtdRegisters.GSTS ? status : 0;
            case VtdRegisters.RTADDR -> half(rtaddr, at);
            case VtdRegisters.CCMD -> half(ccmd, at);
            case VtdRegisters.IQA -> half(iqa, at);
            case VtdRegisters.IRTA -> half(irta, at);
            default -> (at & -8) == iva ? half(address, at) : (at & -8) == iva + 8 ? half(iotlb, at) : 0;
        };
    }

    private void write(int at, int value) {
        if (at >= frcd && at < frcdEnd) {
            faults.writeRecord(at - frcd, value);
            return;
        }
        switch (at) {
            case VtdRegisters.GCMD -> globalCommand(value);
            case VtdRegisters.FSTS -> {
                faults.writeStatus(value);
                if ((value & VtdRegisters.IQE) != 0) {
                    queue.resume();
                }
            }
            case VtdRegisters.FECTL, VtdRegisters.FECTL + 4, VtdRegisters.FECTL + 8, VtdRegisters.FECTL + 12 ->
                faults.event().write(at - VtdRegisters.FECTL >> 2, value);
            case VtdRegisters.IQT -> queue.tail(value);
            case VtdRegisters.ICS -> queue.writeCompletion(value);
            case VtdRegisters.IECTL, VtdRegisters.IECTL + 4, VtdRegisters.IECTL + 8, VtdRegisters.IECTL + 12 ->
                queue.completion().write(at - VtdRegisters.IECTL >> 2, value);
            default -> {
                if (store(at, value)) {
                    bus.sync();
                }
            }
        }
    }

    /** @return whether the write asks to drain, which must not happen under the lock */
    private synchronized boolean store(int at, int value) {
        switch (at & -8) {
            case VtdRegisters.RTADDR -> rtaddr = put(rtaddr, at, value) & ~0x3ffL;
            case VtdRegisters.CCMD -> {
                ccmd = put(ccmd, at, value);
                if (at != VtdRegisters.CCMD && (value & ICC) != 0) {
                    contextCommand();
                }
            }
            case VtdRegisters.IQA -> iqa = put(iqa, at, value) & ~0x7f8L;
            case VtdRegisters.IRTA -> irta = put(irta, at, value) & ~0x7f0L;
            default -> {
                if ((at & -8) == iva) {
                    address = put(address, at, value);
                } else if ((at & -8) == iva + 8) {
                    iotlb = put(iotlb, at, value);
                    return at != iva + 8 && (value & ICC) != 0 && iotlbCommand();
                }
            }
        }
        return false;
    }

    /** GCMD: one-shot bits that are set, then level bits that differ from GSTS. */
    private void globalCommand(int value) {
        int changed;
        synchronized (this) {
            if ((value & VtdRegisters.SRTP) != 0) {
                unit.rootTable(rtaddr);
                status |= VtdRegisters.SRTP;
            }
            if ((value & VtdRegisters.SIRTP) != 0 && capabilities.interruptRemapping()) {
                interrupts.table(irta);
                status |= VtdRegisters.SIRTP;
            }
            changed = value ^ status;
            if ((changed & VtdRegisters.TE) != 0) {
                unit.translate((value & VtdRegisters.TE) != 0);
                status ^= VtdRegisters.TE;
            }
            if ((changed & VtdRegisters.IRE) != 0 && capabilities.interruptRemapping()) {
                interrupts.enable((value & VtdRegisters.IRE) != 0);
                status ^= VtdRegisters.IRE;
            }
            if ((changed & VtdRegisters.CFI) != 0 && capabilities.interruptRemapping()) {
                interrupts.compatibility((value & VtdRegisters.CFI) != 0);
                status ^= VtdRegisters.CFI;
            }
            if ((changed & VtdRegisters.QIE) == 0 || !capabilities.queued()) {
                return;
            }
            if ((value & VtdRegisters.QIE) == 0) {
                status &= queue.disable() ? ~VtdRegisters.QIE : -1;
                return;
            }
            status |= VtdRegisters.QIE;
        }
        queue.enable(iqaNow());
    }

    private synchronized long iqaNow() {
        return iqa;
    }

    /** With the queue on, invalidation by register does nothing and says so: the granularity performed is 0. */
    private void contextCommand() {
        int performed = queue.enabled() ? 0
            : caches.invalidateContexts((int) (ccmd >>> 61) & 3, (int) (ccmd >>> 16) & 0xffff, (int) (ccmd >>> 32) & 3);
        ccmd = ccmd & ~(VtdRegisters.START | 3L << 59) | (long) performed << 59;
    }

    private boolean iotlbCommand() {
        int performed = queue.enabled() ? 0
            : caches.invalidateTranslations((int) (iotlb >>> 60) & 3, (int) (iotlb >>> 32) & 0xffff, address,
                (int) address & 0x3f);
        iotlb = iotlb & ~(VtdRegisters.START | 3L << 57) | (long) performed << 57;
        return performed != 0 && (iotlb & 3L << 48) != 0;
    }

    private static int half(long register, int at) {
        return (int) ((at & 4) == 0 ? register : register >>> 32);
    }

    private static long put(long register, int at, int value) {
        return (at & 4) == 0 ? register & -1L << 32 | value & 0xffff_ffffL
            : register & 0xffff_ffffL | (long) value << 32;
    }
}
