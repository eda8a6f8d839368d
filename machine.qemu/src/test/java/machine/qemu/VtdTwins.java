// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.LongUnaryOperator;
import java.util.stream.Collectors;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;
import machine.local.Ram;
import machine.qemu.process.Batch;
import machine.qemu.process.Launch;
import machine.qemu.process.Qemu;
import machine.qemu.process.Qtest;

/**
 * A VT-d unit of ours and one of QEMU's to which the same is done, and behind each of them four devices that do the
 * same: QEMU's edu, and ports of ours with the same source ids. Ours is built to the CAP and ECAP that QEMU's shows,
 * and goes first.
 *
 * <p>Where {@link Promises} says that nothing is promised, devices do not speak. What QEMU's is known to do differently
 * (docs/qemu-differences.md, by the numbers V1.. given here) is kept out as narrowly as possible.
 */
final class VtdTwins {
    /** How QEMU's unit is built. */
    enum Kind {
        /** 39 bits, entries that are not present are cached. */
        CACHING("caching-mode=on"),
        /** 39 bits. */
        PLAIN(""),
        /** 48 and 39 bits; leaves may enforce snooping. */
        WIDE("aw-bits=48,snoop-control=on"),
        /** 48 and 39 bits; devices may have TLBs, context entries do not pass through. */
        DEVICE_TLB("aw-bits=48,device-iotlb=on,pt=off,caching-mode=on");

        private final String options;

        Kind(String options) {
            this.options = options;
        }
    }

    // Where things lie.
    static final long ROOTS = 0x10_0000;
    static final long CONTEXTS = 0x10_2000;
    static final long TABLES = 0x11_0000;
    static final long FRAMES = 0x20_0000;
    static final int FRAME_COUNT = 8;
    /** Nothing answers there. */
    static final long NOWHERE = 0x3f00_0000;
    static final int[] SOURCES = {0x18, 0x1a, 0x1c, 0x20};
    static final int ENTRIES = 256;

    private static final long QUEUE = 0x14_0000;
    private static final long STATUS = 0x14_1000;
    private static final int STATUS_WORDS = 4;
    private static final long REMAPPING = 0x15_0000;
    private static final long PATTERN = 0x30_0000;
    private static final long MEMORY = 64L << 20;
    private static final long UNIT = 0xfed9_0000L;
    private static final long MESSAGES = 0xfee0_0000L;
    private static final long BAR = 0xfe80_0000L;
    private static final int BUFFER = 4095;
    /** From here on a device's buffer is for reads whose data are not used. */
    private static final int REFUSED = 2048;
    /** And below it are bytes that no read overwrites. */
    private static final int SECRET = REFUSED - 32;
    private static final String SLOT = "/drhd";
    private static final long PASID = 0xf_ffffL << 40;
    private static final int GRANTED = 3 << 27;
    private static final int GRANTED_TRANSLATIONS = 3 << 25;

    /**
     * @param command index of QEMU's reply in the batch
     * @param what is read
     */
    private record Expected(int command, String what, long mask, long value) {
    }

    /** What a run has shown; see {@link MpicTwins.Result}. */
    record Result(int taken, String difference) {
    }

    /** The first difference. */
    private static final class Different extends Exception {
        private static final long serialVersionUID = 1;

        Different(String what) {
            super(what, null, false, false);
        }
    }

    private final int lifted;
    private final Qemu qemu;
    private final Qtest qtest;
    private final Batch batch;
    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, MEMORY)));
    private final VtdCapabilities capabilities;
    private final List<DmaPort> ports = new ArrayList<>();
    private final byte[][] buffers = new byte[SOURCES.length][BUFFER];
    /** By vector, whether level-triggered: what the local APIC has been asked for. */
    private final TreeMap<Integer, Boolean> requested = new TreeMap<>();
    private final List<Expected> expected = new ArrayList<>();
    private final Promises promises;

    private long rootTable;
    private int tail;
    private boolean remappingCertain = true;
    private final BitSet doubtfulEntries = new BitSet();

    private VtdTwins(Qemu qemu, Set<Long> pages, int lifted) {
        this.lifted = lifted;
        this.qemu = qemu;
        qtest = qemu.qtest();
        batch = qtest.batch();
        capabilities = new VtdCapabilities(qtest.readq(UNIT + VtdRegisters.CAP), qtest.readq(UNIT + VtdRegisters.ECAP));
        int host = capabilities.addressWidth();
        VtdUnit unit = new VtdUnit(bus, new VtdSettings(capabilities, host, true, false, 1 << 10), UNIT);
        Node node = Node.at(SLOT).compatible("intel,vt-d").registers(new Node.Range(UNIT, VtdRegisters.SIZE))
            .builtIn(true);
        LocalMachine machine = new LocalMachine(TestBoard.named("twin").nodes(node).board(), bus);
        machine.attach(node, unit.plug(SLOT));
        bus.attach(MESSAGES, 1 << 20, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                message(offset, (int) value);
            }
        });
        for (int source : SOURCES) {
            ports.add(machine.openPort(new Requester(source, SLOT, 0)));
        }
        promises = new Promises(address -> bus.read(address, 8), pages, capabilities.cachingMode(), SOURCES);
    }

    /** The local APIC of core 0 as after power-up: id 0, no logical id. */
    private void message(long offset, int data) {
        int destination = (int) (offset >>> 12 & 0xff);
        boolean physical = (offset & 4) == 0;
        boolean vectored = (data >>> 8 & 7) <= 1;
        if (physical && (destination == 0 || destination == 0xff) && vectored) {
            requested.put(data & 0xff, (data & 0x8000) != 0);
        }
    }

    /** Takes the steps on both, from the reset state. */
    static Result run(Kind kind, List<VtdStep> steps) {
        return run(kind, 0, steps);
    }

    /**
     * As {@link #run(Kind, List)}, with one known difference not kept out.
     *
     * @param lifted its number; 0 for none
     */
    static Result run(Kind kind, int lifted, List<VtdStep> steps) {
        Set<Long> pages = new TreeSet<>();
        for (VtdStep each : steps) {
            switch (each.op()) {
                case WRITE, READ, MSI, STALE -> {
                    pages.add(each.b() & -4096);
                    pages.add((each.b() & -4096) + 4096);
                }
                default -> {
                }
            }
        }
        String edu = ",dma_mask=0xffffffffffffffff";
        String options = kind.options.isEmpty() ? "" : ',' + kind.options;
        Launch launch = Launch.q35((int) (MEMORY >> 20), "intel-iommu,intremap=on" + options,
            "edu,addr=3.0,multifunction=on" + edu, "edu,addr=3.2" + edu, "edu,addr=3.4" + edu, "edu,addr=4.0" + edu);
        int taken = 0;
        try (Qemu qemu = Qemu.start(launch)) {
            VtdTwins twins = new VtdTwins(qemu, pages, lifted);
            VtdStep now = null;
            try {
                twins.begin();
                for (VtdStep each : steps) {
                    now = each;
                    if (twins.take(each)) {
                        taken++;
                        twins.observe();
                        twins.flush();
                    }
                }
            } catch (Different | ErrnoException e) {
                String where = now == null ? "at the start" : "after step " + (steps.indexOf(now) + 1) + ", " + now;
                return new Result(taken, where + ": " + e.getMessage());
            }
            return new Result(taken, null);
        }
    }

    private boolean known(int number) {
        return number != lifted;
    }

    private void begin() throws Different {
        byte[] pattern = new byte[BUFFER];
        new Random(0).nextBytes(pattern);
        bus.write(Bus.CPU, PATTERN, pattern, 0, BUFFER);
        qtest.memwrite(PATTERN, pattern);
        for (int device = 0; device < SOURCES.length; device++) {
            config(device, 0x10, bar(device));
            config(device, 0x04, 6);
            // MSI, 64 bits, on.
            config(device, 0x40, 1 << 16 | 0x0080_0005);
            dma(device, PATTERN, 0, BUFFER, false);
            System.arraycopy(pattern, 0, buffers[device], 0, BUFFER);
        }
        for (int control : new int[] {VtdRegisters.FECTL, VtdRegisters.IECTL}) {
            both4(control + 4, 0x20);
            both4(control + 8, MESSAGES);
        }
        observe();
        flush();
    }

    // ---- Steps. True if the step was taken. ----

    private boolean take(VtdStep each) throws Different {
        switch (each.op()) {
            case PTE -> entry(TABLES + 0x1000 * each.a() + 8 * each.b(), each.c());
            case CONTEXT -> {
                int source = SOURCES[(int) each.b()];
                long address = CONTEXTS + 0x1000 * each.a() + 16L * source;
                promises.context(source, context(source), () -> {
                    memory(address + 8, each.d());
                    memory(address, each.c());
                });
            }
            case ROOT -> rootEntry(ROOTS + 0x1000 * each.a(), each.b(), each.c());
            case RTADDR -> {
                both8(VtdRegisters.RTADDR, ROOTS + 0x1000 * each.a());
                promises.rootTable();
                rootTable = ROOTS + 0x1000 * each.a();
                command(VtdRegisters.SRTP, 0);
            }
            case TE -> level(VtdRegisters.TE, each.a());
            case CTX_INV -> {
                return invalidateContexts((int) each.a(), (int) each.b(), (int) each.c(), (int) each.d());
            }
            case TLB_INV -> {
                return invalidateTranslations((int) each.a(), (int) each.b(), each.c(), (int) each.d());
            }
            case QIE -> {
                return queue(each.a() != 0);
            }
            case DESCRIPTOR -> {
                return submit(each.a(), each.b());
            }
            case MEND -> {
                return mend();
            }
            case WAIT -> {
                // The status word's place follows from the data.
                return each.a() != 0
                    ? submit(5 | 1 << 5 | each.b() << 32, STATUS + 4 * (each.b() & STATUS_WORDS - 1))
                    : submit(5 | 1 << 4, 0);
            }
            case WRITE -> {
                return transfer((int) each.a(), each.b(), (int) each.c(), (int) each.d(), true);
            }
            case READ -> {
                return transfer((int) each.a(), each.b(), (int) each.c(), (int) each.d(), false);
            }
            case STALE -> {
                return stale((int) each.a(), each.b(), FRAMES + 0x1000 * each.c());
            }
            case MSI -> {
                return message((int) each.a(), each.b(), (int) each.c());
            }
            case IRTE -> {
                long address = REMAPPING + 16 * each.a();
                boolean present = (bus.read(address, 8) & 1) != 0;
                memory(address + 8, each.c());
                memory(address, each.b());
                if (present || capabilities.cachingMode()) {
                    doubtfulEntries.set((int) each.a());
                }
            }
            case IEC -> {
                int mask = (int) each.c();
                boolean done = submit(4 | each.a() << 4 | each.c() << 27 | each.b() << 32, 0);
                if (done && !stopped()) {
                    if (each.a() == 0) {
                        doubtfulEntries.clear();
                        remappingCertain = true;
                    } else {
                        int first = (int) each.b() >> mask << mask;
                        doubtfulEntries.clear(first, first + (1 << mask));
                    }
                }
                return done;
            }
            case IRTA -> {
                both8(VtdRegisters.IRTA, REMAPPING | each.a());
                remappingCertain = false;
                command(VtdRegisters.SIRTP, 0);
            }
            case IRE -> level(VtdRegisters.IRE, each.a());
            case CLEAR -> {
                if ((each.a() & 1) != 0) {
                    both4(capabilities.faultOffset() + 12, VtdRegisters.FAULT & 0xffff_ffffL);
                }
                if ((each.a() & 2) != 0) {
                    both4(VtdRegisters.FSTS, VtdRegisters.PFO);
                } else if (read(VtdRegisters.FSTS, 4) == 0 && known(13)) {
                    // V13: QEMU's takes FECTL.IP back only when FSTS is written.
                    batch.writel(UNIT + VtdRegisters.FSTS, 0);
                }
            }
            case EVENT -> {
                int control = each.a() == 0 ? VtdRegisters.FECTL : VtdRegisters.IECTL;
                both4(control + 4, each.c());
                both4(control, each.b() << 31);
            }
            case ICS -> both4(VtdRegisters.ICS, 1);
            default -> throw new IllegalArgumentException(each.toString());
        }
        return true;
    }

    private void entry(long address, long value) {
        promises.entry(address, () -> memory(address, value));
    }

    private void rootEntry(long address, long low, long high) {
        Runnable write = () -> {
            memory(address + 8, high);
            memory(address, low);
        };
        if (address != rootTable) {
            write.run();
            return;
        }
        // The way to all of them.
        Runnable all = write;
        for (int source : SOURCES) {
            Runnable inner = all;
            all = () -> promises.context(source, context(source), inner);
        }
        all.run();
    }

    /** A device's context entry by its offset 0 or 8, as the tables have it. */
    private LongUnaryOperator context(int source) {
        return offset -> {
            long root = bus.read(rootTable, 8);
            if ((root & 1) == 0) {
                return 0;
            }
            boolean readable = (root & 0xffe) == 0 && bus.read(rootTable + 8, 8) == 0;
            return readable ? bus.read((root & -4096) + 16L * source + offset, 8) : 1;
        };
    }

    private boolean invalidateContexts(int granularity, int domain, int source, int mask) {
        if (queued()) {
            if (!submit(1 | granularity << 4 | (long) domain << 16 | (long) source << 32 | (long) mask << 48, 0)
                || stopped()) {
                return stopped();
            }
        } else {
            both8(VtdRegisters.CCMD,
                VtdRegisters.START | (long) granularity << 61 | (long) mask << 32 | (long) source << 16 | domain);
            compared8("CCMD", VtdRegisters.CCMD, VtdRegisters.START | (long) GRANTED << 32);
        }
        if (granularity != 0) {
            promises.contextsInvalidated(granularity, source, mask, this::context);
        }
        return true;
    }

    private boolean invalidateTranslations(int granularity, int domain, long address, int mask) {
        long page = address & -4096 | mask;
        if (queued()) {
            if (!submit(2 | granularity << 4 | (long) domain << 16, granularity == 3 ? page : 0) || stopped()) {
                return stopped();
            }
        } else {
            int iva = capabilities.iotlbOffset();
            both8(iva, page);
            both8(iva + 8, VtdRegisters.START | (long) granularity << 60 | (long) domain << 32);
            // V12: ours performs an invalidation of many pages as one of the domain, as hardware may.
            boolean coarser = granularity == 3 && mask > 12 && mask <= capabilities.maximumMask();
            long granted = known(12) && coarser ? 0 : (long) GRANTED_TRANSLATIONS << 32;
            compared8("IOTLB", iva + 8, VtdRegisters.START | granted);
        }
        if (granularity != 0 && (granularity != 3 || mask <= capabilities.maximumMask())) {
            promises.translationsInvalidated(granularity, domain, address, mask);
        }
        return true;
    }

    private boolean queue(boolean on) {
        if (on == queued()) {
            return false;
        }
        if (on) {
            // Software starts with an empty queue.
            tail = 0;
            both8(VtdRegisters.IQT, 0);
            both8(VtdRegisters.IQA, QUEUE);
            command(VtdRegisters.QIE, 0);
        } else {
            // V8: QEMU's wants the last descriptor to be a wait.
            if (stopped() || known(8) && !submit(5 | 1 << 5 | 1L << 32, STATUS)) {
                return false;
            }
            command(0, VtdRegisters.QIE);
        }
        return true;
    }

    private boolean submit(long low, long high) {
        if (!queued() || stopped()) {
            return false;
        }
        memory(QUEUE + 16 * tail, low);
        memory(QUEUE + 16 * tail + 8, high);
        tail = (tail + 1) % ENTRIES;
        both8(VtdRegisters.IQT, 16 * tail);
        return true;
    }

    private boolean mend() {
        if (!stopped()) {
            return false;
        }
        long head = read(VtdRegisters.IQH, 8);
        memory(QUEUE + head, 5 | 1 << 5 | 7L << 32);
        memory(QUEUE + head + 8, STATUS);
        both4(VtdRegisters.FSTS, VtdRegisters.IQE);
        both8(VtdRegisters.IQT, 16 * tail);
        return true;
    }

    private void command(long set, long clear) {
        long levels = read(VtdRegisters.GSTS, 4) & VtdRegisters.LEVELS & 0xffff_ffffL;
        both4(VtdRegisters.GCMD, (levels | set & 0xffff_ffffL) & ~clear);
    }

    private void level(int bit, long on) {
        command(on != 0 ? bit : 0, on != 0 ? 0 : bit & 0xffff_ffffL);
    }

    private boolean translating() {
        return (read(VtdRegisters.GSTS, 4) & VtdRegisters.TE & 0xffff_ffffL) != 0;
    }

    private boolean queued() {
        return (read(VtdRegisters.GSTS, 4) & VtdRegisters.QIE) != 0;
    }

    private boolean stopped() {
        return (read(VtdRegisters.FSTS, 4) & VtdRegisters.IQE) != 0;
    }

    /** A DMA, page by page as on PCIe; what follows a refused page is still tried, as edu does. */
    private boolean transfer(int device, long iova, int length, int place, boolean toMemory) throws Different {
        if (!mayAccess(device, iova, length, toMemory)) {
            return false;
        }
        DmaPort port = ports.get(device);
        byte[] data = Arrays.copyOf(buffers[device], BUFFER);
        boolean complete = true;
        boolean denied = false;
        for (int done = 0; done < length;) {
            int piece = Math.min(length - done, 4096 - (int) (iova + done & 0xfff));
            int status = toMemory ? port.write(iova + done, data, place + done, piece)
                : port.read(iova + done, data, place + done, piece);
            complete &= status == Bus.OK;
            denied |= status == Refusal.DENIED;
            done += piece;
        }
        if (denied) {
            forget();
        }
        flush();
        // V3: what a device reads that is refused is zeroes with QEMU's, ones with ours.
        int at = toMemory || complete || !known(3) ? place : REFUSED;
        if ((complete || !known(3)) && !toMemory) {
            System.arraycopy(data, 0, buffers[device], 0, BUFFER);
        }
        dma(device, iova, at, length, toMemory);
        frames();
        return true;
    }

    /** V1: QEMU's does not record a permission that is missing in a cached translation. It alone forgets. */
    private void forget() {
        if (!known(1)) {
            return;
        }
        if (queued()) {
            long at = QUEUE + 16 * tail;
            // A wait for nothing in particular, and in its place for QEMU's an invalidation of all translations.
            memory(at, 5);
            memory(at + 8, 0);
            batch.writeq(at, 2 | 1 << 4);
            tail = (tail + 1) % ENTRIES;
            both8(VtdRegisters.IQT, 16 * tail);
        } else {
            batch.writeq(UNIT + capabilities.iotlbOffset() + 8, VtdRegisters.START | 1L << 60);
        }
    }

    private boolean mayAccess(int device, long iova, int length, boolean toMemory) {
        boolean walks = translating();
        for (long at = iova; at < iova + length; at = (at & -4096) + 4096) {
            int source = SOURCES[device];
            Promises.Walk walk = walks ? promises.walk(source, at) : null;
            boolean certain = !walks || promises.certain(source, at) && !stopped();
            LongUnaryOperator context = context(source);
            // V4: QEMU's lets anything pass through. V14: FPD does not silence its reason 0xb.
            boolean passes = !walks
                || !(known(4) && at >>> capabilities.addressWidth() != 0 && (context.applyAsLong(0) & 0xd) == 9)
                && !(known(14) && silencedReserved(context));
            long physical = walk != null ? walk.physical() : at;
            // Devices do not write to tables and queues.
            boolean tables = toMemory && physical >= ROOTS && physical < FRAMES;
            if (!certain || !passes || tables) {
                return false;
            }
        }
        return true;
    }

    private boolean silencedReserved(LongUnaryOperator context) {
        long low = context.applyAsLong(0);
        long reserved = low & (0xff0 | -1L << capabilities.addressWidth())
            | context.applyAsLong(8) & 0xffff_ffff_ff00_0080L;
        return (low & 3) == 3 && reserved != 0;
    }

    private boolean stale(int device, long iova, long frame) throws Different {
        long page = iova & -4096;
        Promises.Walk walk = translating() ? promises.walk(SOURCES[device], page) : null;
        if (walk == null || walk.shift() != 12 || walk.physical() < FRAMES
            || walk.physical() >= FRAMES + 0x1000 * FRAME_COUNT
                || walk.physical() == frame || !mayAccess(device, page, 16, true)) {
            return false;
        }
        long leaf = walk.entries().stream()
            .filter(each -> (bus.read(each, 8) & 0x000f_ffff_ffff_f000L) == walk.physical()).findFirst()
            .orElse(0L);
        long old = walk.physical();
        int at = 0x40;
        memory(frame + at, 0);
        memory(frame + at + 8, 0);
        if (leaf == 0 || ports.get(device).write(page + at, buffers[device], SECRET, 16) != Bus.OK) {
            // Refused and recorded; do the same on the other side.
            if (leaf != 0) {
                forget();
                flush();
                dma(device, page + at, SECRET, 16, true);
            }
            return leaf != 0;
        }
        flush();
        dma(device, page + at, SECRET, 16, true);
        frames();
        entry(leaf, bus.read(leaf, 8) & ~0x000f_ffff_ffff_f000L | frame);
        flush();
        ports.get(device).write(page + at, buffers[device], SECRET + 16, 16);
        dma(device, page + at, SECRET + 16, 16, true);
        byte[] sent = Arrays.copyOfRange(buffers[device], SECRET + 16, SECRET + 32);
        for (boolean ours : new boolean[] {true, false}) {
            boolean inOld = Arrays.equals(sent, ours ? ours(old + at, 16) : qtest.memread(old + at, 16));
            boolean inNew = Arrays.equals(sent, ours ? ours(frame + at, 16) : qtest.memread(frame + at, 16));
            if (inOld == inNew) {
                throw new Different((ours ? "Gantry" : "QEMU") + " has written to "
                    + (inOld ? "the old and the new frame" : "neither frame"));
            }
        }
        for (long place : new long[] {old + at, frame + at}) {
            bus.write(Bus.CPU, place, sent, 0, 16);
            batch.write(place, sent, 0, 16);
        }
        flush();
        frames();
        return true;
    }

    private boolean message(int device, long address, int data) throws Different {
        boolean interrupt = address >>> 20 == MESSAGES >>> 20;
        boolean remapping = (read(VtdRegisters.GSTS, 4) & VtdRegisters.IRE) != 0;
        boolean remappable = (address & 1 << 4) != 0;
        if (!interrupt && !mayAccess(device, address, 4, true)) {
            return false;
        }
        boolean toRemap = interrupt && remapping && remappable;
        if (toRemap) {
            int index = (int) (address >>> 5 & 0x7fff | (address & 4) << 13) + ((address & 8) != 0 ? data & 0xffff : 0);
            // V6: QEMU's counts with 16 bits.
            if (known(6) && index > 0xffff || !remappingCertain || doubtfulEntries.get(index)) {
                return false;
            }
        }
        TreeMap<Integer, Boolean> before = new TreeMap<>(requested);
        boolean recorded = recorded();
        boolean overflow = (read(VtdRegisters.FSTS, 4) & VtdRegisters.PFO) != 0;
        int status = ports.get(device).write(address, 4, data & 0xffff_ffffL);
        if (interrupt) {
            if (known(2) && recorded() != recorded
                || known(2) && ((read(VtdRegisters.FSTS, 4) & VtdRegisters.PFO) != 0) != overflow) {
                // V2: QEMU's drops what is refused, too, but records nothing.
                if (recorded() != recorded) {
                    write4(capabilities.faultOffset() + 12, VtdRegisters.FAULT & 0xffff_ffffL);
                }
                if (!overflow) {
                    write4(VtdRegisters.FSTS, VtdRegisters.PFO);
                }
                requested.clear();
                requested.putAll(before);
            }
            // V5: QEMU's lets messages in compatibility format pass.
            if (remapping && !remappable && known(5)) {
                if (!requested.equals(before)) {
                    throw new Different("Gantry has let a message in compatibility format pass");
                }
                return true;
            }
        } else if (status == Refusal.DENIED) {
            forget();
        }
        flush();
        configure(device, address, data);
        batch.writel(bar(device) + 0x60, 1).writel(bar(device) + 0x64, 1);
        flush();
        if (interrupt) {
            requests();
        } else {
            frames();
        }
        return true;
    }

    private boolean recordedPasid() {
        return (read(capabilities.faultOffset() + 8, 8) & 1L << 31) != 0;
    }

    private boolean recorded() {
        return read(capabilities.faultOffset() + 12, 4) >>> 31 != 0;
    }

    // ---- What is compared. ----

    /** The state after a step. */
    private void observe() {
        compared4("GSTS", VtdRegisters.GSTS, 0xffff_ffffL);
        compared4("FSTS", VtdRegisters.FSTS, 0xffff_ffffL);
        compared4("FECTL", VtdRegisters.FECTL, 0xffff_ffffL);
        compared8("RTADDR", VtdRegisters.RTADDR, -1);
        compared8("IQH", VtdRegisters.IQH, -1);
        compared8("IQT", VtdRegisters.IQT, -1);
        compared4("ICS", VtdRegisters.ICS, 0xffff_ffffL);
        compared4("IECTL", VtdRegisters.IECTL, 0xffff_ffffL);
        compared8("IRTA", VtdRegisters.IRTA, -1);
        if (recorded()) {
            // V15: QEMU's records address bits from MGAW on.
            compared8("FRCD", capabilities.faultOffset(), known(15) ? (1L << capabilities.addressWidth()) - 1 : -1);
        }
        // V10: QEMU's writes a PASID value although none is present.
        compared8("FRCD high", capabilities.faultOffset() + 8,
            !recorded() ? 1L << 63 : recordedPasid() || !known(10) ? -1 : ~PASID);
        for (int word = 0; word < STATUS_WORDS; word += 2) {
            expected.add(new Expected(batch.size(), "status words " + word + ", " + (word + 1), -1,
                bus.read(STATUS + 4 * word, 8)));
            batch.readq(STATUS + 4 * word);
        }
    }

    private void frames() throws Different {
        byte[] ours = ours(FRAMES, 0x1000 * FRAME_COUNT);
        byte[] theirs = qtest.memread(FRAMES, 0x1000 * FRAME_COUNT);
        int at = Arrays.mismatch(ours, theirs);
        if (at >= 0) {
            throw new Different(
                String.format("memory at 0x%x: Gantry 0x%x, QEMU 0x%x", FRAMES + at, ours[at], theirs[at]));
        }
    }

    private byte[] ours(long address, int length) {
        byte[] bytes = new byte[length];
        bus.read(address, bytes, 0, length);
        return bytes;
    }

    /** What core 0 has been asked for: IRR, and of that TMR. */
    private void requests() throws Different {
        String ours = requested.entrySet().stream().map(each -> each.getKey() + (each.getValue() ? "(level)" : ""))
            .collect(Collectors.joining(" "));
        String theirs = qemu.qmp().hmp("info lapic").lines().filter(line -> line.startsWith("IRR")).findFirst()
            .orElse("").substring(3)
            .replace("(none)", "").strip();
        if (!ours.equals(theirs)) {
            throw new Different("requests of the local APIC: Gantry " + ours + ", QEMU " + theirs);
        }
    }

    private void compared4(String what, int register, long mask) {
        expected.add(new Expected(batch.size(), what, mask, read(register, 4)));
        batch.readl(UNIT + register);
    }

    private void compared8(String what, int register, long mask) {
        expected.add(new Expected(batch.size(), what, mask, read(register, 8)));
        batch.readq(UNIT + register);
    }

    private void flush() throws Different {
        long[] results = batch.run();
        for (Expected each : expected) {
            if (((results[each.command] ^ each.value) & each.mask) != 0) {
                throw new Different(
                    String.format("%s: Gantry 0x%x, QEMU 0x%x%s", each.what, each.value, results[each.command],
                    each.mask == -1 ? "" : String.format(" under 0x%x", each.mask)));
            }
        }
        expected.clear();
    }

    // ---- To both, to ours, to QEMU's. ----

    private void memory(long address, long value) {
        bus.write(Bus.CPU, address, 8, value);
        batch.writeq(address, value);
    }

    private void both4(int register, long value) {
        write4(register, value);
        batch.writel(UNIT + register, value);
    }

    private void both8(int register, long value) {
        bus.write(Bus.CPU, UNIT + register, 8, value);
        batch.writeq(UNIT + register, value);
    }

    private void write4(int register, long value) {
        bus.write(Bus.CPU, UNIT + register, 4, value);
    }

    private long read(int register, int size) {
        return bus.read(UNIT + register, size);
    }

    private static long bar(int device) {
        return BAR + 0x10_0000L * device;
    }

    private void config(int device, int register, long value) {
        batch.outl(0xcf8, 1L << 31 | SOURCES[device] << 8 | register).outl(0xcfc, value);
    }

    private void configure(int device, long address, long data) {
        config(device, 0x44, address & 0xffff_ffffL);
        config(device, 0x48, address >>> 32);
        config(device, 0x4c, data & 0xffff);
    }

    /** QEMU's edu: between memory at an address and its own buffer. */
    private void dma(int device, long iova, int place, int length, boolean toMemory) throws Different {
        long buffer = 0x4_0000L + place;
        batch.writeq(bar(device) + 0x80, toMemory ? buffer : iova).writeq(bar(device) + 0x88, toMemory ? iova : buffer)
            .writeq(bar(device) + 0x90, length).writeq(bar(device) + 0x98, toMemory ? 3 : 1).run();
        long until = System.nanoTime() + 10_000_000_000L;
        while ((qtest.readq(bar(device) + 0x98) & 1) != 0) {
            if (System.nanoTime() > until) {
                throw new Different("QEMU's edu does not end its DMA");
            }
        }
    }
}
