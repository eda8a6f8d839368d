// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MpicRegisters;

/**
 * The interrupt sources: the settings of each, and the set of those that request service. Bit sets hold one bit for
 * each source, so that looking for the best one touches a few words. Guarded by the lock of {@link Mpic}.
 */
final class Sources {
    private static final int VPR_INTERNAL = MpicRegisters.MASKED | MpicRegisters.ACTIVE_HIGH
        | MpicRegisters.PRIORITY_MASK
        | MpicRegisters.VECTOR_MASK;
    private static final int VPR_EXTERNAL = VPR_INTERNAL | MpicRegisters.LEVEL;
    private static final int EXTERNAL_PIN = 1 << 31;

    private final MpicModel model;
    private final int[] vpr;
    private final int[] idr;
    private final int[] ilr;

    /** The level of the wire that ends at a source. */
    private final long[] wired;
    /** Asserted by a register of this block: an MSIR that is not zero, a message register. */
    private final long[] raised;
    /** An edge has arrived and was not acknowledged yet. */
    private final long[] latched;
    private final long[] levelSensitive;
    /**
     * The words of wired, raised and latched that are not all zero, one bit each: 32 words are
     * {@link MpicRegisters#MAX_SOURCES}.
     */
    private int live;
    /** For each core: sources that may interrupt it, whatever they ask now. */
    private final long[][] enabled;
    private final long[][] critical;
    private final long[][] machineCheck;
    /** Whether any source was ever routed to one of the latter two: few systems do so. */
    private boolean otherOutputs;

    Sources(MpicModel model) {
        this.model = model;
        int count = model.sources();
        int words = count + 63 >> 6;
        vpr = new int[count];
        idr = new int[count];
        ilr = new int[count];
        wired = new long[words];
        raised = new long[words];
        latched = new long[words];
        levelSensitive = new long[words];
        enabled = new long[model.cpus()][words];
        critical = new long[model.cpus()][words];
        machineCheck = new long[model.cpus()][words];
        reset();
    }

    /** Resets all but the external state: the levels of the wires, and the contents of the MSIRs. */
    void reset() {
        for (int source = 0; source < vpr.length; source++) {
            vpr[source] = MpicRegisters.MASKED | (internal(source) ? MpicRegisters.ACTIVE_HIGH : 0);
            idr[source] = 1;
            ilr[source] = MpicRegisters.OUTPUT_INT;
            put(latched, source, false);
            look(source);
            put(levelSensitive, source, internal(source));
            route(source);
        }
    }

    /** @return the VPR without its activity bit */
    int vpr(int source) {
        return vpr[source];
    }

    void vpr(int source, int value) {
        vpr[source] = value & (internal(source) ? VPR_INTERNAL : VPR_EXTERNAL);
        boolean level = internal(source) || (value & MpicRegisters.LEVEL) != 0;
        if (level) {
            put(latched, source, false);
            look(source);
        }
        put(levelSensitive, source, level);
        route(source);
    }

    int idr(int source) {
        return idr[source];
    }

    void idr(int source, int value) {
        int destinations = cores();
        idr[source] = value & (model.has(MpicRegisters.VERSION_ILR) ? destinations
            : destinations | Integer.reverse(destinations) >>> 1 | EXTERNAL_PIN);
        route(source);
    }

    int ilr(int source) {
        return ilr[source];
    }

    void ilr(int source, int value) {
        ilr[source] = value & MpicRegisters.OUTPUT_MASK;
        route(source);
    }

    /** Takes the wire's level, changed or not. */
    void wire(int source, boolean asserted) {
        if (asserted && !get(wired, source) && !get(levelSensitive, source)) {
            put(latched, source, true);
        }
        put(wired, source, asserted);
        look(source);
    }

    /** A register of this block asserts its source, or not any more. */
    void raise(int source, boolean asserted) {
        put(raised, source, asserted);
        look(source);
    }

    /** The source was acknowledged: an edge is used up, a level stays for as long as its line does. */
    void acknowledged(int source) {
        put(latched, source, false);
        look(source);
    }

    boolean pending(int source) {
        return (asking(source >> 6) >>> source & 1) != 0;
    }

    int priority(int source) {
        return (vpr[source] & MpicRegisters.PRIORITY_MASK) >>> MpicRegisters.PRIORITY_SHIFT;
    }

    /**
     * {@return the pending source of the highest priority for that core, the lowest number among equals; -1 if none}
     *
     * @param threshold what its priority has to exceed
     */
    int best(int cpu, int threshold) {
        int best = -1;
        int highest = threshold;
        for (int words = live; words != 0; words &= words - 1) {
            int word = Integer.numberOfTrailingZeros(words);
            for (long left = asking(word) & enabled[cpu][word]; left != 0; left &= left - 1) {
                int source = (word << 6) + Long.numberOfTrailingZeros(left);
                int priority = priority(source);
                if (priority > highest) {
                    highest = priority;
                    best = source;
                }
            }
        }
        return best;
    }

    /** {@return whether a critical interrupt or a machine check can be asserted, or ever could} */
    boolean otherOutputs() {
        return otherOutputs;
    }

    /**
     * {@return the level of that core's critical interrupt: priority and acknowledge do not matter, before 4.1 the mask
     * neither}
     */
    boolean critical(int cpu) {
        return any(critical[cpu]);
    }

    /** {@return the level of that core's machine check} */
    boolean machineCheck(int cpu) {
        return any(machineCheck[cpu]);
    }

    /** {@return the cores whose pins depend on that source, as a mask} */
    int destinations(int source) {
        return model.has(MpicRegisters.VERSION_ILR) ? idr[source]
            : (idr[source] | Integer.reverse(idr[source]) >>> 1) & cores();
    }

    private boolean any(long[] of) {
        for (int words = live; words != 0; words &= words - 1) {
            int word = Integer.numberOfTrailingZeros(words);
            if (((wired[word] | raised[word]) & of[word]) != 0) {
                return true;
            }
        }
        return false;
    }

    private void look(int source) {
        int word = source >> 6;
        int bit = 1 << word;
        live = (wired[word] | raised[word] | latched[word]) != 0 ? live | bit : live & ~bit;
    }

    private long asking(int word) {
        return (wired[word] | raised[word]) & levelSensitive[word] | latched[word];
    }

    private void route(int source) {
        boolean unmasked = (vpr[source] & MpicRegisters.MASKED) == 0;
        boolean deliverable = unmasked && priority(source) != 0;
        boolean shown = unmasked || !model.has(MpicRegisters.VERSION_MASKED_OUTPUTS);
        int to = idr[source] & cores();
        int output = ilr[source];
        if (!model.has(MpicRegisters.VERSION_ILR)) {
            int criticalTo = Integer.reverse(idr[source]) >>> 1 & cores();
            if (criticalTo != 0) {
                to = criticalTo;
                output = MpicRegisters.OUTPUT_CRITICAL;
            }
        }
        otherOutputs |= output != MpicRegisters.OUTPUT_INT;
        for (int cpu = 0; cpu < enabled.length; cpu++) {
            boolean here = (to >>> cpu & 1) != 0;
            put(enabled[cpu], source, here && deliverable && output == MpicRegisters.OUTPUT_INT);
            put(critical[cpu], source, here && shown && output == MpicRegisters.OUTPUT_CRITICAL);
            put(machineCheck[cpu], source, here && shown && output == MpicRegisters.OUTPUT_MACHINE_CHECK);
        }
    }

    private int cores() {
        return model.cpuMask();
    }

    private static boolean internal(int source) {
        return source >= MpicRegisters.FIRST_INTERNAL;
    }

    private static boolean get(long[] set, int bit) {
        return (set[bit >> 6] >>> bit & 1) != 0;
    }

    private static void put(long[] set, int bit, boolean value) {
        if (value) {
            set[bit >> 6] |= 1L << bit;
        } else {
            set[bit >> 6] &= ~(1L << bit);
        }
    }
}
