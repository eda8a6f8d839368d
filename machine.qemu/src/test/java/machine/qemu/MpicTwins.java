// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import irq.mpic.MpicRegisters;
import irq.mpic.MsiLayout;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.ErrnoException;
import machine.fixture.TestBoard;
import machine.qemu.process.Batch;
import machine.qemu.process.Launch;
import machine.qemu.process.Qemu;
import machine.qemu.process.Qtest;

/**
 * An MPIC of ours and one of QEMU's to which the same is done. Ours goes first and says what is to be expected; then
 * QEMU is sent all of it in one piece.
 *
 * <p>What QEMU's is known to do differently (docs/qemu-differences.md, by the numbers M1.. given here) is kept out as
 * narrowly as possible: by not taking a step where the two would part, by not comparing a bit, or by a write to QEMU
 * alone that has no meaning for an MPIC and makes QEMU's work out its state anew. What that needs to be known of
 * pending sources is kept beside.
 */
final class MpicTwins {
    /** The sources that steps use: external, internal, MSI. */
    static final int[] SOURCES = {0, 3, 11, 14, 16, 24, 0x28, 0x7f, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7};
    /** In a vector, bits 8:0 say whose it is: a source, an interrupt between cores, nobody's. */
    static final int FIRST_IPI = 256;
    static final int SPURIOUS = 511;

    /** Which MPIC. */
    enum Board {
        /** 4.2, two cores. */
        PPCE500(0xf_e004_0000L, 0x0402, 2),
        /** 2.0, one core. */
        MPC8544DS(0xe004_0000L, 0x0200, 1);

        final long pic;
        final int version;
        final int cores;

        Board(long pic, int version, int cores) {
            this.pic = pic;
            this.version = version;
            this.cores = cores;
        }

        boolean ilr() {
            return version >= MpicRegisters.VERSION_ILR;
        }

        Launch launch() {
            return Launch.e500(name().toLowerCase(Locale.ROOT), 64, cores);
        }
    }

    /**
     * @param command index of QEMU's reply; or, from -1 down, number of the mark at which pins are looked at
     * @param register what is read
     */
    private record Expected(int step, int command, int register, int mask, int value) {
    }

    private static final int INT = 4;
    private static final int CINT = 3;
    /** An input of the core that the MPIC does not drive: told like the others, it marks the place in the stream. */
    private static final int MARK = 6;
    private static final int EXTERNALS = 16;
    /** Sources that are nobody's: one for each core, of priority 0. */
    private static final int SCRATCH = 200;
    private static final int CRITICAL_BITS = 0x7fff_0000;

    private final Board board;
    private final int watched;
    private final int lifted;
    private final List<Cpu> cpus;
    private final Mpic mpic;
    private final Batch batch;
    private final List<Integer> used;
    private final List<Expected> expected = new ArrayList<>();
    private int step;
    private int marks;
    private int taken;

    private final boolean[] wire = new boolean[256];
    private final boolean[] latched = new boolean[EXTERNALS];
    private final int[] ipiPending = new int[4];
    /** For each core what it has in service: whose, priority. */
    private final List<List<int[]>> service = new ArrayList<>();

    private MpicTwins(Board board, int watched, int lifted, Batch batch, List<MpicStep> steps) {
        this.lifted = lifted;
        used = steps.stream().map(MpicStep::source).filter(source -> source >= 0).distinct().toList();
        this.board = board;
        this.watched = watched;
        this.batch = batch;
        cpus = TestBoard.named(board.name()).memory(0, 1 << 20).cores(board.cores).machine().cpus();
        mpic = new Mpic(new MpicModel(board.version, 256, board.cores, MsiLayout.THREE_BANKS), cpus);
        for (int core = 0; core < board.cores; core++) {
            service.add(new ArrayList<>());
        }
    }

    /** What a run has shown. */
    record Result(int taken, String difference) {
    }

    /**
     * Takes the steps on both, from the reset state.
     *
     * @param watched the core whose pins are compared; QEMU shows those of one only
     * @return how many steps have been taken (some have no place where they stand), and the first difference; null if
     *     there is none
     */
    static Result run(Board board, int watched, List<MpicStep> steps) {
        return run(board, watched, 0, steps);
    }

    /**
     * As {@link #run(Board, int, List)}, with one known difference not kept out.
     *
     * @param lifted its number; 0 for none
     */
    static Result run(Board board, int watched, int lifted, List<MpicStep> steps) {
        try (Qemu qemu = Qemu.start(board.launch())) {
            Qtest qtest = qemu.qtest();
            String core = qemu.qmp().execute("query-cpus-fast").getAsJsonArray().get(watched).getAsJsonObject()
                .get("qom-path")
                .getAsString();
            qtest.interceptIrqIn(core);
            List<Integer> pins = new ArrayList<>();
            int[] now = new int[1];
            qtest.listen((line, raised) -> {
                if (line == MARK) {
                    pins.add(now[0]);
                } else {
                    now[0] = raised ? now[0] | 1 << line : now[0] & ~(1 << line);
                }
            });
            MpicTwins twins = new MpicTwins(board, watched, lifted, qtest.batch(), steps);
            twins.begin();
            for (MpicStep each : steps) {
                twins.step++;
                if (twins.take(each)) {
                    twins.taken++;
                    twins.observe();
                }
            }
            String difference;
            try {
                difference = twins.compare(steps, twins.batch.run(), pins);
            } catch (ErrnoException e) {
                difference = e.getMessage();
            }
            return new Result(twins.taken, difference);
        }
    }

    private boolean known(int number) {
        return number != lifted;
    }

    private void begin() {
        if (known(10)) {
            // M10: QEMU delivers in pass-through mode, too.
            both(MpicRegisters.GCR, MpicRegisters.MODE_MIXED);
        }
        scratch();
        all();
        observe();
    }

    // ---- Steps. True if the step was taken. ----

    private boolean take(MpicStep each) {
        switch (each.op()) {
            case VPR -> vpr(each.a(), each.b());
            case MASK -> both(vprAt(each.a()), peekVpr(each.a()) & Integer.MAX_VALUE | each.b() << 31);
            case IDR -> {
                return idr(each.a(), each.b());
            }
            case ILR -> {
                return ilr(each.a(), each.b());
            }
            case WIRE -> {
                return wire(each.a(), each.b() != 0);
            }
            case RING -> both(MsiLayout.BANK + MsiLayout.MSIIR, each.a() << 29 | each.b() << 24);
            case MSIR -> compared(MsiLayout.BANK + MsiLayout.MSIR_STRIDE * each.a(), -1);
            case CTPR -> both(core(each.a(), MpicRegisters.CTPR), each.b());
            case IACK -> {
                return acknowledge(each.a());
            }
            case EOI -> end(each.a());
            case IPIVPR -> ipiVpr(each.a(), each.b());
            case IPI -> {
                int to = each.values()[2] & (1 << board.cores) - 1;
                // M6: QEMU's takes one to nobody for pending.
                if (to == 0 && known(6)) {
                    return false;
                }
                both(core(each.a(), MpicRegisters.IPIDR + 0x10 * each.b()), to);
                ipiPending[each.b()] |= to;
            }
            case SVR -> both(MpicRegisters.SVR, each.a());
            case TFRR -> both(MpicRegisters.TFRR, each.a());
            case MODE -> both(MpicRegisters.GCR, each.a());
            case BASE -> both(timer(each.a(), MpicRegisters.GTBCR), each.b());
            case TIMERVPR -> both(timer(each.a(), MpicRegisters.GTVPR), each.b());
            case TIMERDR -> both(timer(each.a(), MpicRegisters.GTDR), each.b());
            case RESET -> reset();
            case ALL -> all();
            default -> throw new IllegalArgumentException(each.toString());
        }
        return true;
    }

    private void vpr(int source, int value) {
        int old = peekVpr(source);
        int next = value;
        if (serves(source) && known(4)) {
            // M4: the priority in service is that of the acknowledge; QEMU reads the register anew. Software must not
            // change it.
            next = next & ~MpicRegisters.PRIORITY_MASK | old & MpicRegisters.PRIORITY_MASK;
        }
        if (source < EXTERNALS) {
            // M5: QEMU's keeps a latched edge, and does not look at the wire, when the sense changes.
            boolean keep = known(5) && (wire[source] || latched[source]);
            // M7, M8: edges for several cores, and for other outputs than INT.
            boolean level = keep ? (old & MpicRegisters.LEVEL) != 0
                : (next & MpicRegisters.LEVEL) != 0 || known(7) && Integer.bitCount(peekIdr(source)) > 1
                    || known(8) && critical(source);
            next = next & ~MpicRegisters.LEVEL | (level ? MpicRegisters.LEVEL : 0);
        }
        // As in quietly.
        if (asks(source) && known(3)) {
            both(vprAt(source), old | MpicRegisters.MASKED);
        }
        both(vprAt(source), next);
    }

    /** M3: QEMU's does not move what is pending. Software masks a source before it changes where it goes. */
    private void quietly(int source, Runnable change) {
        boolean asks = asks(source) && known(3);
        int vpr = peekVpr(source);
        if (asks) {
            both(vprAt(source), vpr | MpicRegisters.MASKED);
        }
        change.run();
        if (asks) {
            both(vprAt(source), vpr);
        }
    }

    private boolean idr(int source, int value) {
        boolean edge = edge(source);
        int next = value;
        if (board.ilr()) {
            next = edge && known(7) ? Integer.lowestOneBit(value & (1 << board.cores) - 1) : value;
        } else {
            boolean changes = critical(source) || (value & CRITICAL_BITS & criticalMask()) != 0;
            // M8, M9: QEMU's counts wrongly if a pending source becomes critical or ceases to be; edges.
            if (changes && (known(9) && pending(source) || known(8) && edge)) {
                return false;
            }
        }
        int to = next;
        quietly(source, () -> both(idrAt(source), to));
        compared(idrAt(source), -1);
        return true;
    }

    private boolean ilr(int source, int output) {
        // M8.
        if (!board.ilr() || known(8) && edge(source) && output != 0) {
            return false;
        }
        quietly(source, () -> both(ilrAt(source), output));
        compared(ilrAt(source), -1);
        return true;
    }

    private boolean wire(int source, boolean level) {
        if (wire[source] == level) {
            return false;
        }
        wire[source] = level;
        if (level && edge(source)) {
            latched[source] = true;
        }
        mpic.set(source, level);
        mpic.settle();
        line(source, level);
        return true;
    }

    private boolean acknowledge(int core) {
        int best = best(core);
        if (!cpus.get(core).asserted() && best >= 0) {
            // M1: QEMU's hands out what is at or below what is in service. M2: below CTPR it loses an edge.
            boolean inService = priority(best) > mpic.peek(core(core, MpicRegisters.CTPR));
            if (inService ? known(1) : known(2) && (best >= FIRST_IPI || edge(best))) {
                return false;
            }
        }
        int vector = compared(core(core, MpicRegisters.IACK), -1);
        int whose = vector & 0x1ff;
        if (whose == SPURIOUS) {
            return true;
        }
        service.get(core).add(new int[] {whose, priority(whose)});
        if (whose >= FIRST_IPI) {
            ipiPending[whose - FIRST_IPI] &= ~(1 << core);
        } else if (edge(whose)) {
            latched[whose] = false;
        }
        mark();
        if (known(16)) {
            // M16: QEMU's still knows the priorities of before.
            refresh(core);
        }
        return true;
    }

    private void end(int core) {
        both(core(core, MpicRegisters.EOI), 0);
        service.get(core).stream().max((a, b) -> Integer.compare(a[1], b[1])).ifPresent(service.get(core)::remove);
        int best = best(core);
        // M11: QEMU's EOI does not heed CTPR.
        if (known(11) && best >= 0 && priority(best) <= mpic.peek(core(core, MpicRegisters.CTPR))) {
            refresh(core);
        }
    }

    private void ipiVpr(int ipi, int value) {
        int at = MpicRegisters.IPIVPR + 0x10 * ipi;
        int old = mpic.peek(at) & ~MpicRegisters.ACTIVITY;
        int next = serves(FIRST_IPI + ipi) ? value & ~MpicRegisters.PRIORITY_MASK | old & MpicRegisters.PRIORITY_MASK
            : value;
        if (ipiPending[ipi] != 0 && old >= 0) {
            both(at, old | MpicRegisters.MASKED);
        }
        both(at, next);
    }

    private void reset() {
        for (int source : SOURCES) {
            if (wire[source]) {
                wire(source, false);
            }
        }
        for (int register = 0; register < 8; register++) {
            compared(MsiLayout.BANK + MsiLayout.MSIR_STRIDE * register, -1);
        }
        mark();
        if (known(12)) {
            forget();
        }
        both(MpicRegisters.GCR, MpicRegisters.RESET);
        service.forEach(List::clear);
        Arrays.fill(latched, false);
        Arrays.fill(ipiPending, 0);
        compared(MpicRegisters.GCR, -1);
        both(MpicRegisters.GCR, MpicRegisters.MODE_MIXED);
        all();
        scratch();
    }

    /** M12: QEMU's keeps ILR, latched edges and what is pending between cores through a reset: takes that away. */
    private void forget() {
        for (int source : SOURCES) {
            if (source < EXTERNALS && latched[source]) {
                // A level that is not there.
                batch.writel(board.pic + vprAt(source), MpicRegisters.MASKED | MpicRegisters.LEVEL);
                line(source, false);
            }
            if (board.ilr()) {
                batch.writel(board.pic + ilrAt(source), 0);
            }
        }
        for (int core = 0; core < board.cores; core++) {
            batch.writel(board.pic + core(core, MpicRegisters.CTPR), 0);
        }
        for (int ipi = 0; ipi < 4; ipi++) {
            batch.writel(board.pic + MpicRegisters.IPIVPR + 0x10 * ipi,
                ipiPending[ipi] == 0 ? MpicRegisters.MASKED : 15 << 16);
            for (int core = 0; core < board.cores; core++) {
                if ((ipiPending[ipi] >> core & 1) != 0) {
                    batch.readl(board.pic + core(core, MpicRegisters.IACK));
                }
            }
        }
    }

    private void all() {
        compared(MpicRegisters.BRR1, -1);
        // M13: the number of sources.
        compared(MpicRegisters.FRR, known(13) ? ~0x07ff_0000 : -1);
        for (int register : new int[] {MpicRegisters.VIR, MpicRegisters.SVR, MpicRegisters.TFRR}) {
            compared(register, -1);
        }
        for (int core = 0; core < board.cores; core++) {
            compared(core(core, MpicRegisters.WHOAMI), -1);
            compared(core(core, MpicRegisters.EOI), -1);
        }
        for (int timer = 0; timer < 4; timer++) {
            // M14: QEMU's clears the count of a stopped timer.
            if (compared(timer(timer, MpicRegisters.GTBCR), -1) >= 0 || !known(14)) {
                compared(timer(timer, MpicRegisters.GTCCR), -1);
            }
            compared(timer(timer, MpicRegisters.GTVPR), -1);
            compared(timer(timer, MpicRegisters.GTDR), -1);
        }
        for (int source : SOURCES) {
            observe(source);
            compared(idrAt(source), -1);
            compared(ilrAt(source), -1);
        }
    }

    /** The state after a step; sources that are never touched only at {@link MpicStep#all}. */
    private void observe() {
        used.forEach(this::observe);
        for (int ipi = 0; ipi < 4; ipi++) {
            compared(MpicRegisters.IPIVPR + 0x10 * ipi,
                known(15) && serves(FIRST_IPI + ipi) ? ~MpicRegisters.ACTIVITY : -1);
        }
        compared(MsiLayout.BANK + MsiLayout.MSISR, -1);
        compared(MpicRegisters.GCR, -1);
        for (int core = 0; core < board.cores; core++) {
            compared(core(core, MpicRegisters.CTPR), -1);
        }
        mark();
    }

    private void observe(int source) {
        // M15: QEMU's takes the activity bit back when a source is acknowledged or its line drops. M9: it shows it for
        // a critical source that is masked.
        boolean activity = !(known(15) && serves(source)) && !(known(9) && critical(source) && !board.ilr());
        compared(vprAt(source), activity ? -1 : ~MpicRegisters.ACTIVITY);
    }

    // ---- To both, or to QEMU alone. ----

    private void both(int register, int value) {
        mpic.write(Bus.CPU, register, 4, Integer.reverseBytes(value) & 0xffff_ffffL);
        batch.writel(board.pic + register, value);
    }

    private int compared(int register, int mask) {
        int value = Integer.reverseBytes((int) mpic.read(register, 4));
        expected.add(new Expected(step, batch.size(), register, mask, value));
        batch.readl(board.pic + register);
        return value;
    }

    private void line(int source, boolean level) {
        batch.setIrqIn("/machine/pic", Qtest.UNNAMED_IN, source, level ? 1 : 0);
    }

    /** The pins are compared as they are here. */
    private void mark() {
        // M17: QEMU's boards leave the machine check output open.
        int pins = (cpus.get(watched).asserted() ? 1 << INT : 0) | (mpic.critical(watched) ? 1 << CINT : 0);
        expected.add(new Expected(step, -1 - marks, 0, -1, pins));
        batch.setIrqIn(cpuPath(), Qtest.UNNAMED_IN, MARK, ++marks & 1);
    }

    private String cpuPath() {
        return "/machine/unattached/device[" + watched + "]";
    }

    private void scratch() {
        for (int core = 0; core < board.cores; core++) {
            batch.writel(board.pic + idrAt(SCRATCH + core), 1 << core).writel(board.pic + vprAt(SCRATCH + core), 0);
        }
    }

    /**
     * QEMU's works out which sources are best only when one changes: one of priority 0, which is never delivered, does.
     */
    private void refresh(int core) {
        line(SCRATCH + core, true);
        line(SCRATCH + core, false);
    }

    // ---- What is known beside. ----

    private boolean edge(int source) {
        return source < EXTERNALS && (peekVpr(source) & MpicRegisters.LEVEL) == 0;
    }

    private boolean pending(int source) {
        return edge(source) ? latched[source]
            : wire[source]
                || source >= 0xe0 && mpic.peek(MsiLayout.BANK + MsiLayout.MSIR_STRIDE * (source - 0xe0)) != 0;
    }

    private boolean asks(int source) {
        return pending(source) && peekVpr(source) >= 0;
    }

    private boolean critical(int source) {
        return board.ilr() ? mpic.peek(ilrAt(source)) != 0 : (peekIdr(source) & criticalMask()) != 0;
    }

    private int criticalMask() {
        return Integer.reverse((1 << board.cores) - 1) >>> 1;
    }

    private boolean serves(int whose) {
        return service.stream().anyMatch(core -> core.stream().anyMatch(each -> each[0] == whose));
    }

    /** What asks a core for its INT with the highest priority, even 0; -1 if nothing does. */
    private int best(int core) {
        int best = -1;
        for (int source : SOURCES) {
            boolean asks = asks(source) && (peekIdr(source) >> core & 1) != 0 && !critical(source);
            if (asks && (best < 0 || priority(source) > priority(best))) {
                best = source;
            }
        }
        for (int ipi = 0; ipi < 4; ipi++) {
            boolean asks = (ipiPending[ipi] >> core & 1) != 0 && mpic.peek(MpicRegisters.IPIVPR + 0x10 * ipi) >= 0;
            if (asks && (best < 0 || priority(FIRST_IPI + ipi) > priority(best))) {
                best = FIRST_IPI + ipi;
            }
        }
        return best;
    }

    private int priority(int whose) {
        int vpr = whose >= FIRST_IPI ? mpic.peek(MpicRegisters.IPIVPR + 0x10 * (whose - FIRST_IPI)) : peekVpr(whose);
        return (vpr & MpicRegisters.PRIORITY_MASK) >> MpicRegisters.PRIORITY_SHIFT;
    }

    private int peekVpr(int source) {
        return mpic.peek(vprAt(source)) & ~MpicRegisters.ACTIVITY;
    }

    private int peekIdr(int source) {
        return mpic.peek(idrAt(source));
    }

    // ---- The comparison. ----

    private String compare(List<MpicStep> steps, long[] replies, List<Integer> pins) {
        for (Expected each : expected) {
            int got = each.command < 0 ? pins.get(-1 - each.command) : (int) replies[each.command];
            if (((got ^ each.value) & each.mask) != 0) {
                String what = each.command < 0 ? "pins of core " + watched + " (INT 0x10, CINT 8)"
                    : name(each.register);
                return String.format("%s: %s: Gantry 0x%x, QEMU 0x%x%s", each.step == 0 ? "at the start"
                    : "after step " + each.step + ", " + steps.get(each.step - 1), what, each.value, got,
                    each.mask == -1 ? "" : String.format(" under 0x%x", each.mask));
            }
        }
        return null;
    }

    private static String name(int register) {
        if (register >= MpicRegisters.CPU) {
            return String.format("register 0x%x of core %d", register & 0xfff, register - MpicRegisters.CPU >> 12);
        }
        if (register >= MpicRegisters.SOURCE) {
            int part = register & 0x1f;
            return String.format("%s of source 0x%x", part == 0 ? "VPR" : part == 0x10 ? "IDR" : "ILR",
                register - MpicRegisters.SOURCE >> 5);
        }
        return String.format("register 0x%x", register);
    }

    private static int vprAt(int source) {
        return MpicRegisters.SOURCE + MpicRegisters.SOURCE_STRIDE * source;
    }

    private static int idrAt(int source) {
        return vprAt(source) + MpicRegisters.IDR;
    }

    private static int ilrAt(int source) {
        return vprAt(source) + MpicRegisters.ILR;
    }

    private static int core(int core, int register) {
        return MpicRegisters.CPU + MpicRegisters.CPU_STRIDE * core + register;
    }

    private static int timer(int timer, int register) {
        return MpicRegisters.TIMER_A + MpicRegisters.TIMER_STRIDE * timer + register;
    }
}
