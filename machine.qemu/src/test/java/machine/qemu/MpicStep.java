// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * One thing that software or a device does to an MPIC. Its text is the call that makes it, so that a printed sequence
 * can be pasted into {@link MpicDifferentialTest}.
 */
record MpicStep(Op op, int... values) {
    /** What can be done; how many numbers it takes. */
    enum Op {
        VPR, MASK, IDR, ILR, WIRE, RING, MSIR, CTPR, IACK, EOI, IPIVPR, IPI, SVR, TFRR, MODE, BASE, TIMERVPR, TIMERDR,
        RESET, ALL
    }

    /** Sets vector, priority, sense and polarity of a source, as software should: masked first if it asks. */
    static MpicStep vpr(int source, int value) {
        return new MpicStep(Op.VPR, source, value);
    }

    /** Sets or clears the mask of a source, and nothing else. */
    static MpicStep mask(int source, int masked) {
        return new MpicStep(Op.MASK, source, masked);
    }

    /** Sets the destination of a source, masked first if it asks. */
    static MpicStep idr(int source, int value) {
        return new MpicStep(Op.IDR, source, value);
    }

    /** Sets the output of a source, masked first if it asks. */
    static MpicStep ilr(int source, int output) {
        return new MpicStep(Op.ILR, source, output);
    }

    /** Asserts or releases the wire of a source. */
    static MpicStep wire(int source, int level) {
        return new MpicStep(Op.WIRE, source, level);
    }

    /** Writes MSIIR. */
    static MpicStep ring(int register, int bit) {
        return new MpicStep(Op.RING, register, bit);
    }

    /** Reads an MSIR, which clears it. */
    static MpicStep msir(int register) {
        return new MpicStep(Op.MSIR, register);
    }

    /** Sets a core's task priority. */
    static MpicStep ctpr(int core, int priority) {
        return new MpicStep(Op.CTPR, core, priority);
    }

    /** Reads a core's IACK. */
    static MpicStep iack(int core) {
        return new MpicStep(Op.IACK, core);
    }

    /** Writes a core's EOI. */
    static MpicStep eoi(int core) {
        return new MpicStep(Op.EOI, core);
    }

    /** Sets vector and priority of an interrupt between cores, masked first if it asks. */
    static MpicStep ipivpr(int ipi, int value) {
        return new MpicStep(Op.IPIVPR, ipi, value);
    }

    /** Sends an interrupt between cores. */
    static MpicStep ipi(int core, int ipi, int cores) {
        return new MpicStep(Op.IPI, core, ipi, cores);
    }

    /** Sets the spurious vector. */
    static MpicStep svr(int vector) {
        return new MpicStep(Op.SVR, vector);
    }

    /** Sets the timers' frequency. */
    static MpicStep tfrr(int hertz) {
        return new MpicStep(Op.TFRR, hertz);
    }

    /** Sets GCR: mixed mode or external proxy. */
    static MpicStep mode(int value) {
        return new MpicStep(Op.MODE, value);
    }

    /** Sets a timer's base count. */
    static MpicStep base(int timer, int value) {
        return new MpicStep(Op.BASE, timer, value);
    }

    /** Sets vector and priority of a timer. */
    static MpicStep timervpr(int timer, int value) {
        return new MpicStep(Op.TIMERVPR, timer, value);
    }

    /** Sets the destination of a timer. */
    static MpicStep timerdr(int timer, int value) {
        return new MpicStep(Op.TIMERDR, timer, value);
    }

    /** Releases all wires, empties the MSIRs, resets by GCR and selects mixed mode again. */
    static MpicStep reset() {
        return new MpicStep(Op.RESET);
    }

    /** Compares every register that can be compared. */
    static MpicStep all() {
        return new MpicStep(Op.ALL);
    }

    /** {@return the source that is touched; -1 if none in particular} */
    int source() {
        return switch (op) {
            case VPR, MASK, IDR, ILR, WIRE -> a();
            case RING, MSIR -> 0xe0 + a();
            default -> -1;
        };
    }

    int a() {
        return values[0];
    }

    int b() {
        return values[1];
    }

    @Override
    public String toString() {
        return op.name().toLowerCase() + IntStream.of(values)
            .mapToObj(v -> v >= 0 && v < 10 ? Integer.toString(v) : "0x" + Integer.toHexString(v))
            .collect(Collectors.joining(", ", "(", ")"));
    }
}
