// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import iommu.pamu.table.BigEndian;
import iommu.pamu.table.OperationMapping;
import iommu.pamu.table.Paace;
import iommu.pamu.table.PamuNodes;
import iommu.pamu.table.Registers;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.InterruptInputs;
import machine.api.Machine;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.Refusal;
import machine.api.Snoop;
import machine.api.TranslationUnit;
import machine.api.Unit;

/**
 * One PAMU: the lookup. Stop 2 of the road; before it {@link machine.api.DmaPort#write}, after it memory or
 * {@link machine.api.Mmio#write}. Concurrency: any number of readers, lock-free, no allocation; a refused access is
 * recorded lock-free too.
 *
 * <p><b>Snooped caches.</b> A store to an entry takes effect at once, as with the chip, whose caches snoop it on the
 * bus; {@code Bus.sync} waits for lookups that began before. A window that was looked up is kept with the {@link
 * Snoop}'s stamp of the moment before its entries were read, and serves until a store into any of the three tables.
 * Where the snoop gives no stamp every lookup reads the entries from memory. Refusals are never cached. (PAMU: PC, bits
 * PPCC, SPCC and OCE.)
 *
 * <p><b>Entries that change while they are read.</b> Hardware fetches an entry as one line; this model fetches it in
 * pairs of words, the pair with V and AP first. A torn entry never yields an address that was not mapped, if writers
 * keep the order that hardware asks of them anyway:
 * <ol>
 * <li>Down: clear V (AP for window 0, whose entry also gates the aperture) before touching any other word.
 * <li>Wait: PowerPC's {@code sync}, here {@link Bus#sync}. Lookups that saw V have left the machine; those that begin
 *     later see it clear.
 * <li>Change the other words in any order, then set V. Pairs are atomic, writes release, reads acquire: a lookup that
 *     sees V sees every word it vouches for.
 * </ol>
 */
public final class Pamu implements TranslationUnit {
    private static final int LIVE = Registers.PC_GATE_CLOSED | Registers.PC_ENABLE;
    private static final int LAV = 10;
    private static final int WAV = 7;
    private static final int APV = 3;
    private static final int OTV = 1;

    private final Bus bus;
    private final int bypassBit;
    private final BypassRegister bypass;
    private final BigEndian memory;
    private final ViolationCodes codes;
    private final int largestCountCode;
    private final Violations violations;
    private volatile Tables tables = Tables.reset();

    Pamu(int instance, Bus bus, BypassRegister bypass, Violations violations, PamuModel model) {
        this.bus = bus;
        this.bypassBit = Registers.bypassBit(instance);
        this.bypass = bypass;
        this.memory = new BigEndian(bus);
        this.codes = model.codes();
        this.largestCountCode = Integer.numberOfTrailingZeros(model.maxWindows()) - 1;
        this.violations = violations;
    }

    /**
     * All PAMUs of a board as one pluggable unit: their register blocks, the bypass register, and a translation for the
     * path of each instance. Every instance drives the node's first interrupt; a node without one is silent.
     *
     * @param node the node compatible with {@code fsl,pamu}
     * @throws machine.api.ErrnoException ENODEV if the board lacks an instance or the global utilities
     */
    public static Unit unit(Machine machine, Node node, PamuModel model) {
        return unit(machine, node, model, new ArrayList<>());
    }

    /**
     * Plugs {@link #unit} in.
     *
     * @return takes it out again; the wire is low then, whatever was asserted
     * @throws machine.api.ErrnoException as {@link #unit} and {@link Machine#attach}
     */
    public static Attachment attach(Machine machine, Node node, PamuModel model) {
        List<Pamu> instances = new ArrayList<>();
        Attachment attachment;
        try {
            attachment = machine.attach(node, unit(machine, node, model, instances));
        } catch (RuntimeException | Error e) {
            instances.forEach(Pamu::powerOff);
            throw e;
        }
        return () -> {
            try {
                attachment.close();
            } finally {
                instances.forEach(Pamu::powerOff);
            }
        };
    }

    private static Unit unit(Machine machine, Node node, PamuModel model, List<Pamu> instances) {
        BypassRegister bypass = new BypassRegister(model.bypassReset());
        List<Unit.Window> windows = new ArrayList<>();
        Map<String, TranslationUnit> translations = new LinkedHashMap<>();
        windows.add(new Unit.Window(PamuNodes.bypass(machine), 4, bypass));
        for (Node instance : PamuNodes.instances(node)) {
            Violations violations = new Violations(level -> node.interrupts().isEmpty() ? PolledLine.NONE
                : machine.line(node.interrupts().get(0), level));
            Pamu pamu = new Pamu(translations.size(), machine.bus(), bypass, violations, model);
            instances.add(pamu);
            long registers = instance.registers().get(0).physical();
            windows.add(new Unit.Window(registers, Registers.BYTES, new RegisterBlock(pamu, violations, model)));
            translations.put(instance.path(), pamu);
        }
        return new Unit(windows, translations, InterruptInputs.NONE);
    }

    /**
     * The register block has changed; one caller at a time. Takes effect for lookups that begin later.
     *
     * @param bounds PPBA, PPLA, SPBA, SPLA, OBA, OLA
     */
    void use(int control, long... bounds) {
        replace(Tables.of(bus, control, bounds));
    }

    /** Refuses everything and releases its wire and the bus: the unit has left the machine. */
    private void powerOff() {
        violations.powerOff();
        replace(Tables.reset());
    }

    private synchronized void replace(Tables next) {
        Tables old = tables;
        tables = next;
        old.snoop.close();
    }

    @Override
    public long translate(int liodn, long iova, int length, int access) {
        Tables now = tables;
        Aperture[] apertures = now.apertures;
        if (liodn >= 0 && liodn < apertures.length && !bypass.bypassed(bypassBit)) {
            Aperture aperture = apertures[liodn];
            if (aperture != null) {
                Window window = aperture.recent;
                if (window != null && window.permits(iova, length, access) && now.snoop.unchanged(window.stamp())) {
                    return iova + window.distance;
                }
                window = aperture.other;
                if (window != null && window.permits(iova, length, access) && now.snoop.unchanged(window.stamp())) {
                    return iova + window.distance;
                }
            }
        }
        return lookUp(now, liodn, iova, length, access);
    }

    /** Not one of the two most recent windows. */
    private long lookUp(Tables now, int liodn, long iova, int length, int access) {
        if (bypass.bypassed(bypassBit)) {
            return iova < 0 ? Refusal.NO_TARGET : iova;
        }
        Snoop snoop = now.snoop;
        Aperture aperture = liodn >= 0 && liodn < now.apertures.length ? now.apertures[liodn] : null;
        if (aperture != null) {
            Window window = aperture.window(iova);
            if (window != null && window.permits(iova, length, access) && snoop.unchanged(window.stamp())) {
                aperture.use(window);
                return iova + window.distance;
            }
        }
        long stamp = snoop.stamp();
        long found = inTables(now, liodn, iova, length, access);
        if (found >= 0 && stamp != Snoop.NONE && liodn >= 0 && liodn < now.apertures.length) {
            remember(now, liodn, iova, stamp);
        }
        return found;
    }

    /**
     * Caches the window of an address that was just permitted. Reads its entries once more, as they are between two
     * looks at the stamp.
     */
    private void remember(Tables now, int liodn, long iova, long stamp) {
        long entry = now.primary + (long) liodn * Paace.BYTES;
        long words = memory.pair(entry + Paace.ADDRESS);
        int size = Paace.sizeField((int) words);
        boolean multiple = ((int) words & Paace.MULTIPLE) != 0;
        int count = multiple ? 2 << Paace.windowCountCode((int) memory.pair(entry + Paace.ATTRIBUTES)) : 1;
        int windowSize = size - Integer.numberOfTrailingZeros(count);
        long base = words & Paace.BASE;
        long number = iova - base >>> windowSize >>> 1;
        if (windowSize < Paace.SMALLEST || number >= count || number < 0) {
            return;
        }
        if (number > 0) {
            long at = ((memory.pair(entry + Paace.INDEX) >>> 32) + number - 1) * Paace.BYTES;
            if (Long.compareUnsigned(at, now.secondaryBytes) >= 0) {
                return;
            }
            entry = now.secondary + at;
            words = memory.pair(entry + Paace.ADDRESS);
        }
        long translated = memory.pair(entry + Paace.TRANSLATED);
        int attributes = (int) memory.pair(entry + Paace.ATTRIBUTES);
        int permitted = Paace.access((int) words);
        if ((attributes & Paace.OPERATION) != Paace.OPERATION_NONE) {
            permitted &= (operation(now, entry, attributes, Access.READ) == 0 ? Access.READ : 0)
                | (operation(now, entry, attributes, Access.WRITE) == 0 ? Access.WRITE : 0);
        }
        long first = base + (number << windowSize << 1);
        long last = Math.min(bytes(windowSize), bytes(multiple ? Paace.sizeField((int) translated) : size));
        long distance = (attributes & Paace.TRANSLATION) == Paace.TRANSLATION_NONE ? 0
            : (translated & Paace.BASE) - first;
        if (first < 0 || first + last < 0 || first + distance < 0 || first + last + distance < 0
            || !now.snoop.unchanged(stamp)) {
            return;
        }
        // What is there and says the same is renewed, so that stores elsewhere in the tables leave no garbage here.
        Aperture aperture = now.apertures[liodn];
        Window window = aperture == null || !aperture.says(base, size, windowSize, count) ? null
            : aperture.windows[(int) number];
        if (window == null || !window.says(first, last, distance, permitted)) {
            window = new Window(first, last, distance, permitted, stamp);
        } else {
            window.renew(stamp);
        }
        if (aperture == null || !aperture.says(base, size, windowSize, count)) {
            now.apertures[liodn] = new Aperture(base, size, windowSize, count, window);
        } else {
            aperture.windows[(int) number] = window;
            aperture.use(window);
        }
    }

    /** {@return bytes of a size code, less one; capped at what fits} */
    private static long bytes(int code) {
        return (1L << code << 1) - 1 & Long.MAX_VALUE;
    }

    /** PAMU lookup, steps 1 to 3. */
    private long inTables(Tables now, int liodn, long iova, int length, int access) {
        int live = now.control & LIVE;
        if (live != Registers.PC_ENABLE) {
            return refuse(live < 0 ? Registers.AVS1_GATE : Registers.AVS1_DISABLED, liodn, iova, access, 0,
                Refusal.BLOCKED);
        }
        long at = (liodn & 0xffff_ffffL) * Paace.BYTES;
        if (Long.compareUnsigned(at, now.primaryBytes) >= 0) {
            return refuse(codes.notInTable() << LAV, liodn, iova, access, 0, Refusal.NO_REQUESTER);
        }
        return aperture(now, now.primary + at, liodn, iova, length, access);
    }

    /** PAMU lookup, steps 4 to 6: the primary entry, and which window. */
    private long aperture(Tables now, long entry, int liodn, long iova, int length, int access) {
        long first = memory.pair(entry + Paace.ADDRESS);
        int word1 = (int) first;
        if ((word1 & Paace.VALID) == 0) {
            return refuse(codes.entryInvalid() << LAV, liodn, iova, access, entry, Refusal.NO_REQUESTER);
        }
        int size = Paace.sizeField(word1);
        int word3 = (int) memory.pair(entry + Paace.ATTRIBUTES);
        int windowSize = size;
        if ((word1 & Paace.MULTIPLE) != 0) {
            int count = Paace.windowCountCode(word3);
            windowSize = count > largestCountCode ? 0 : size - count - 1;
        }
        if ((word1 & Paace.SECONDARY) != 0 || windowSize < Paace.SMALLEST) {
            return refuse(codes.entryMalformed() << LAV, liodn, iova, access, entry, Refusal.MALFORMED);
        }
        long offset = iova - (first & Paace.BASE);
        if (offset >>> size >>> 1 != 0) {
            return refuse(codes.outsideAperture() << WAV, liodn, iova, access, entry, Refusal.OUTSIDE);
        }
        long window = (word1 & Paace.MULTIPLE) != 0 ? offset >>> windowSize >>> 1 : 0;
        return window == 0
            ? window(now, entry, word1, (word1 & Paace.MULTIPLE) != 0 ? -1 : size, offset, liodn, iova, length, access)
            : secondary(now, entry, window, offset - (window << windowSize << 1), liodn, iova, length, access);
    }

    /** PAMU lookup, step 6: window 1 and above have an entry of their own. */
    private long secondary(Tables now, long primary, long window, long offset, int liodn, long iova, int length,
        int access) {
        long at = ((memory.pair(primary + Paace.INDEX) >>> 32) + window - 1) * Paace.BYTES;
        long entry = now.secondary + at;
        if (Long.compareUnsigned(at, now.secondaryBytes) >= 0) {
            return refuse(codes.windowMalformed() << WAV, liodn, iova, access, primary, Refusal.MALFORMED);
        }
        int word1 = (int) memory.pair(entry + Paace.ADDRESS);
        if ((word1 & Paace.VALID) == 0) {
            return refuse(codes.windowInvalid() << WAV, liodn, iova, access, entry, Refusal.UNMAPPED);
        }
        if ((word1 & Paace.SECONDARY) == 0 || (word1 & Paace.SECONDARY_RESERVED) != 0 || Paace.liodn(word1) != liodn) {
            return refuse(codes.windowMalformed() << WAV, liodn, iova, access, entry, Refusal.MALFORMED);
        }
        return window(now, entry, word1, -1, offset, liodn, iova, length, access);
    }

    /**
     * PAMU lookup, steps 6 to 9: effective size, permission, operation, address.
     *
     * @param size code of the effective size, or -1 to take the entry's SWSE
     */
    private long window(Tables now, long entry, int word1, int size, long offset, int liodn, long iova, int length,
        int access) {
        long translated = memory.pair(entry + Paace.TRANSLATED);
        int effective = size < 0 ? Paace.sizeField((int) translated) : size;
        if (offset + length - 1 >>> effective >>> 1 != 0) {
            return refuse(codes.beyondMapping() << WAV, liodn, iova, access, entry, Refusal.UNMAPPED);
        }
        int permitted = Paace.access(word1);
        if ((permitted & access) != access) {
            return refuse((access == Access.READ ? codes.readDenied() : codes.writeDenied()) << APV, liodn, iova,
                access, entry, permitted == 0 ? Refusal.UNMAPPED : Refusal.DENIED);
        }
        int word3 = (int) memory.pair(entry + Paace.ATTRIBUTES);
        if ((word3 & Paace.OPERATION) != Paace.OPERATION_NONE) {
            int violation = operation(now, entry, word3, access);
            if (violation != 0) {
                return refuse(violation << OTV, liodn, iova, access, entry, Refusal.UNSUPPORTED);
            }
        }
        long physical = switch (word3 & Paace.TRANSLATION) {
            case Paace.TRANSLATION_NONE -> iova;
            case Paace.TRANSLATION_WINDOW -> (translated & Paace.BASE) + offset;
            default -> -1;
        };
        if (physical < 0) {
            return refuse(codes.entryMalformed() << LAV, liodn, iova, access, entry, Refusal.MALFORMED);
        }
        return physical;
    }

    /** PAMU section "operation mapping": {@return 0 if the operation may pass, else the OTV code} */
    private int operation(Tables now, long entry, int word3, int access) {
        int incoming = access == Access.READ ? OperationMapping.READ : OperationMapping.WRITE;
        int word7 = (int) memory.pair(entry + Paace.INDEX);
        int outgoing = -1;
        if ((word3 & Paace.OPERATION) == Paace.OPERATION_IMMEDIATE) {
            outgoing = word7 >>> 24 == incoming ? word7 >>> 16 & 0xff
                : (word7 >>> 8 & 0xff) == incoming ? word7 & 0xff : -1;
        } else if ((word3 & Paace.OPERATION) == Paace.OPERATION_INDEXED) {
            long at = (word7 & 0xffffL) * OperationMapping.BYTES;
            if (at < now.operationBytes) {
                long word = now.operations + at;
                int index = OperationMapping.index(incoming);
                outgoing = memory.word(word + (index & ~3)) >>> (24 - 8 * (index & 3)) & 0xff;
            }
        }
        if (outgoing == -1) {
            return codes.operationUnknown();
        }
        return (outgoing & OperationMapping.VALID) == 0 ? codes.operationInvalid() : 0;
    }

    private long refuse(int violation, int liodn, long iova, int access, long entry, int refusal) {
        violations.record(liodn, violation, access == Access.READ ? OperationMapping.READ : OperationMapping.WRITE,
            iova, entry);
        return refusal;
    }
}
