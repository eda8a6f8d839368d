// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.stream.Collectors;
import java.util.stream.LongStream;

/**
 * One thing that software or a device does to a VT-d unit. Its text is the call that makes it, so that a printed
 * sequence can be pasted into {@link VtdDifferentialTest}.
 */
record VtdStep(Op op, long... values) {
    /** What can be done. */
    enum Op {
        PTE, CONTEXT, ROOT, RTADDR, TE, CTX_INV, TLB_INV, QIE, DESCRIPTOR, MEND, WAIT, WRITE, READ, STALE, MSI, IRTE,
        IEC, IRTA, IRE, CLEAR, EVENT, ICS
    }

    /** Writes an entry of a page table. */
    static VtdStep pte(long table, long index, long value) {
        return new VtdStep(Op.PTE, table, index, value);
    }

    /** Writes a device's context entry. */
    static VtdStep context(long table, long device, long low, long high) {
        return new VtdStep(Op.CONTEXT, table, device, low, high);
    }

    /** Writes the root entry of bus 0. */
    static VtdStep root(long table, long low, long high) {
        return new VtdStep(Op.ROOT, table, low, high);
    }

    /** Sets the root table, and makes it take effect. */
    static VtdStep rtaddr(long table) {
        return new VtdStep(Op.RTADDR, table);
    }

    /** Switches translation. */
    static VtdStep te(long on) {
        return new VtdStep(Op.TE, on);
    }

    /** Invalidates contexts, by register or by queue, whichever is on. */
    static VtdStep ctxInv(long granularity, long domain, long source, long mask) {
        return new VtdStep(Op.CTX_INV, granularity, domain, source, mask);
    }

    /** Invalidates translations, by register or by queue, whichever is on. */
    static VtdStep tlbInv(long granularity, long domain, long address, long mask) {
        return new VtdStep(Op.TLB_INV, granularity, domain, address, mask);
    }

    /** Switches the invalidation queue. */
    static VtdStep qie(long on) {
        return new VtdStep(Op.QIE, on);
    }

    /** Puts a descriptor in the queue that need not be a good one. */
    static VtdStep descriptor(long low, long high) {
        return new VtdStep(Op.DESCRIPTOR, low, high);
    }

    /** Puts a good descriptor in the place of the one that stopped the queue, and lets it go on. */
    static VtdStep mend() {
        return new VtdStep(Op.MEND);
    }

    /** Puts a wait descriptor in the queue: 1 to write a status, 0 for an interrupt. */
    static VtdStep await(long write, long data) {
        return new VtdStep(Op.WAIT, write, data);
    }

    /** A device writes some of its buffer to memory. */
    static VtdStep write(long device, long iova, long length, long from) {
        return new VtdStep(Op.WRITE, device, iova, length, from);
    }

    /** A device reads memory into its buffer. */
    static VtdStep read(long device, long iova, long length, long to) {
        return new VtdStep(Op.READ, device, iova, length, to);
    }

    /** Moves a page to another frame and writes to it before it is invalidated: the bytes are in one of the two. */
    static VtdStep stale(long device, long iova, long frame) {
        return new VtdStep(Op.STALE, device, iova, frame);
    }

    /** A device sends a message. */
    static VtdStep msi(long device, long address, long data) {
        return new VtdStep(Op.MSI, device, address, data);
    }

    /** Writes an entry of the interrupt remapping table. */
    static VtdStep irte(long index, long low, long high) {
        return new VtdStep(Op.IRTE, index, low, high);
    }

    /** Invalidates interrupt entries: 0 all, 1 by index. */
    static VtdStep iec(long granularity, long index, long mask) {
        return new VtdStep(Op.IEC, granularity, index, mask);
    }

    /** Sets the interrupt remapping table of 2^(size + 1) entries, and makes it take effect. */
    static VtdStep irta(long size) {
        return new VtdStep(Op.IRTA, size);
    }

    /** Switches interrupt remapping. */
    static VtdStep ire(long on) {
        return new VtdStep(Op.IRE, on);
    }

    /** Clears what has been recorded: 1 the record, 2 the overflow, 3 both. */
    static VtdStep clear(long what) {
        return new VtdStep(Op.CLEAR, what);
    }

    /** Sets mask and vector of the fault event (0) or the invalidation event (1). */
    static VtdStep event(long which, long masked, long vector) {
        return new VtdStep(Op.EVENT, which, masked, vector);
    }

    /** Clears the status of completed waits. */
    static VtdStep ics() {
        return new VtdStep(Op.ICS);
    }

    long a() {
        return values[0];
    }

    long b() {
        return values[1];
    }

    long c() {
        return values[2];
    }

    long d() {
        return values[3];
    }

    @Override
    public String toString() {
        StringBuilder name = new StringBuilder();
        for (String word : op.name().toLowerCase().split("_")) {
            name.append(name.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
        }
        return (op == Op.WAIT ? "await" : name) + LongStream.of(values)
            .mapToObj(v -> v >= 0 && v < 10 ? Long.toString(v)
            : "0x" + Long.toHexString(v) + (v > Integer.MAX_VALUE || v < 0 ? "L" : ""))
            .collect(Collectors.joining(", ", "(", ")"));
    }
}
