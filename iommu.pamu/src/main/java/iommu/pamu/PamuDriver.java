// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import iommu.pamu.table.BigEndian;
import iommu.pamu.table.Paace;
import iommu.pamu.table.PamuNodes;
import iommu.pamu.table.Registers;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.StringJoiner;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Wire;

/**
 * All PAMUs of a board as one {@link Iommu}: they share tables, so a requester is under its domain's windows whichever
 * instance it sits behind.
 *
 * <p>From the moment the constructor returns no requester is bypassed, and none reaches memory that no domain has
 * mapped for it. (Linux opens all 64 GiB to every LIODN the boot loader names; this driver does not.) After
 * {@link #close} the gates are closed: everything is refused until another driver has set up its own tables.
 *
 * <p>Thread-safe. The locks are listed on the package page.
 */
public final class PamuDriver implements Iommu, AutoCloseable {
    private static final int CONTROL =
        Registers.PC_ENABLE | Registers.PC_OMT_CACHE | Registers.PC_SECONDARY_CACHE | Registers.PC_PRIMARY_CACHE;
    /** Physical and device addresses have 36 bits. */
    static final int ADDRESS_BITS = 36;
    private static final int NOBODY = -1;
    private static final int MOST_EARLY = 64;
    private static final long PAGE_SIZES = (2L << ADDRESS_BITS) - 1 & -4096;

    private static final class Instance {
        final String path;
        final long registers;
        /**
         * Guarded by {@link #scan}: its violation interrupt was turned off because of an offender that cannot be
         * stopped.
         */
        boolean muted;

        Instance(String path, long registers) {
            this.path = path;
            this.registers = registers;
        }
    }

    private static final System.Logger LOG = System.getLogger("iommu.pamu");

    private final Machine machine;
    private final Bus bus;
    private final BigEndian words;
    private final List<Instance> instances = new ArrayList<>();
    private final List<Wire> wires;
    /** The type that users of VFIO ask for. */
    static final String TYPE = "pamu";

    private final IommuCapabilities capabilities;
    private final PamuTables tables;
    private final ConcurrentHashMap<Integer, Member> members = new ConcurrentHashMap<>();
    private final ReentrantLock scan = new ReentrantLock();

    private volatile PamuSettings settings;

    // Guarded by this.
    private final Set<PamuDomain> domains = new HashSet<>();
    private boolean closed;
    private boolean released;

    // Guarded by scan.
    private boolean stopped;
    /**
     * Records that were read before a requester changed hands, for the next who asks; the first ones, as the hardware
     * keeps them.
     */
    private final List<Violation> early = new ArrayList<>();

    /**
     * Probes: allocates the tables, points every PAMU at them, clears the bypass bits.
     *
     * @param node the node compatible with {@code fsl,pamu}; its unit is attached
     * @throws ErrnoException ENODEV if an instance does not answer or the board lacks a part; ENOMEM if there is no
     *     block for the tables; EIO if the bypass bits do not clear. The gates are closed then
     */
    public PamuDriver(Machine machine, Node node, PamuSettings settings) {
        this.machine = machine;
        this.bus = machine.bus();
        this.words = new BigEndian(bus);
        this.settings = settings;
        this.wires = node.interrupts().isEmpty() ? List.of() : List.of(node.interrupts().get(0));
        long bypass = PamuNodes.bypass(machine);
        int windows = Integer.MAX_VALUE;
        for (Node child : PamuNodes.instances(node)) {
            long registers = child.registers().get(0).physical();
            if (words.word(registers + Registers.PR1) == -1) {
                throw new ErrnoException(Errno.ENODEV, "no PAMU answers at physical 0x%x (%s); is its unit attached?",
                    registers, child.path());
            }
            windows = Math.min(windows, Registers.maxWindows(words.word(registers + Registers.PC3)));
            instances.add(new Instance(child.path(), registers));
        }
        capabilities = IommuCapabilities.windowed(TYPE, PAGE_SIZES, windows, true, 0, (1L << ADDRESS_BITS) - 1);
        tables = new PamuTables(machine);
        try {
            start(bypass);
        } catch (Throwable e) {
            try {
                shut();
                bus.sync();
                tables.close();
            } catch (Throwable again) {
                e.addSuppressed(again);
            }
            throw e;
        }
    }

    /**
     * Changes the policy from the next violation on. A disabled requester still waits for Enable(true), as does an
     * interrupt that is off.
     */
    public void change(PamuSettings next) {
        settings = next;
    }

    @Override
    public IommuCapabilities capabilities() {
        return capabilities;
    }

    /** {@return nothing: every address of the aperture may be mapped} */
    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        return List.of();
    }

    @Override
    public boolean serves(Requester requester) {
        return instances.stream().anyMatch(instance -> instance.path.equals(requester.unit()));
    }

    /** @throws ErrnoException ENODEV if the driver was closed */
    @Override
    public synchronized IommuDomain open() {
        if (closed) {
            throw gone();
        }
        PamuDomain domain = new PamuDomain(this);
        domains.add(domain);
        return domain;
    }

    @Override
    public List<Wire> violationWires() {
        return wires;
    }

    /**
     * {@inheritDoc} An instance keeps one record: the first since it was read last. Never waits for anything but
     * another call of this method. A record of a requester that was then under another domain, or none, says so behind
     * its reason, and is nothing {@link ViolationPolicy#DISABLE} would act on.
     *
     * <p>PICS is cleared before AVS1: a violation in between is dropped as a second one and shows in PICS. The other
     * way round it would be recorded and its interrupt status cleared.
     */
    @Override
    public List<Violation> violations() {
        List<Violation> records = new ArrayList<>();
        scan.lock();
        try {
            records.addAll(early);
            early.clear();
            if (!stopped) {
                instances.forEach(instance -> scan(instance, records, NOBODY, ""));
            }
        } finally {
            scan.unlock();
        }
        return records;
    }

    /**
     * Reads what is recorded before a requester changes hands: nobody is to answer for what another one's device did.
     * The caller has seen to it that none of its accesses is in flight, or that its entry has not been valid.
     *
     * @param then where it was, for the reason of its records
     */
    void collect(int liodn, String then) {
        List<Violation> records = new ArrayList<>();
        scan.lock();
        try {
            if (!stopped) {
                instances.forEach(instance -> scan(instance, records, liodn, then));
            }
        } finally {
            try {
                early.addAll(records.subList(0, Math.min(records.size(), MOST_EARLY - early.size())));
            } finally {
                scan.unlock();
            }
        }
    }

    /**
     * Closes every gate, waits for what is in flight, then gives the tables' memory back. Domains are dead afterwards.
     * Idempotent.
     *
     * @throws ErrnoException EIO if a gate does not close, ETIMEDOUT if an access does not end: the tables' memory is
     *     kept, a domain can still be closed when that access has ended, and this can be called again
     */
    @Override
    public void close() {
        List<PamuDomain> orphans;
        synchronized (this) {
            if (released) {
                return;
            }
            closed = true;
            orphans = List.copyOf(domains);
        }
        shut();
        scan.lock();
        try {
            stopped = true;
        } finally {
            scan.unlock();
        }
        bus.sync();
        orphans.forEach(PamuDomain::orphan);
        members.clear();
        synchronized (this) {
            if (released) {
                return;
            }
            released = true;
            domains.clear();
        }
        tables.close();
    }

    /** @throws ErrnoException EINVAL if it sits behind none of these PAMUs */
    void checkServes(Requester requester) {
        if (!serves(requester)) {
            throw new ErrnoException(Errno.EINVAL, "LIODN 0x%x sits behind %s, which is none of the PAMUs %s; attach "
                + "it to a domain of the driver of that one", requester.id(), requester.unit(),
                instances.stream().map(instance -> instance.path).toList());
        }
    }

    Machine machine() {
        return machine;
    }

    PamuTables tables() {
        return tables;
    }

    /** The domain of each attached requester. */
    ConcurrentHashMap<Integer, Member> members() {
        return members;
    }

    synchronized void forget(PamuDomain domain) {
        domains.remove(domain);
    }

    /** Turns the violation interrupts on again that {@link ViolationPolicy#DISABLE} has turned off. */
    void unmute() {
        scan.lock();
        try {
            for (Instance instance : instances) {
                if (instance.muted && !stopped) {
                    instance.muted = false;
                    words.word(instance.registers + Registers.PICS, Registers.PICS_VIOLATION_ENABLE);
                }
            }
        } finally {
            scan.unlock();
        }
    }

    static ErrnoException gone() {
        return new ErrnoException(Errno.ENODEV, "this domain or its driver was closed; open a new domain");
    }

    private void start(long bypass) {
        int bypassed = words.word(bypass);
        int ours = 0;
        for (int i = 0; i < instances.size(); i++) {
            long registers = instances.get(i).registers;
            // PAMU: erratum A-005982, with OCE on, a new base flushes what is cached of the old tables.
            words.word(registers + Registers.PC, Registers.PC_GATE_CLOSED | Registers.PC_OMT_CACHE);
            address(registers + Registers.PPBA, tables.primaryBase());
            address(registers + Registers.PPLA, tables.primaryLimit());
            address(registers + Registers.SPBA, tables.secondaryBase());
            address(registers + Registers.SPLA, tables.secondaryLimit());
            address(registers + Registers.OBA, tables.operationsBase());
            address(registers + Registers.OLA, tables.operationsLimit());
            // What was refused before this driver came is not its news. PAMU-A001: a status bit that is 0 must not be
            // written 1.
            int status = words.word(registers + Registers.PICS) & (Registers.PICS_VIOLATION | Registers.PICS_OPERATION);
            words.word(registers + Registers.PICS, status | Registers.PICS_VIOLATION_ENABLE);
            words.word(registers + Registers.AVS1, words.word(registers + Registers.AVS1) & Registers.AVS1_STATUS);
            words.word(registers + Registers.PC, CONTROL);
            ours |= Registers.bypassBit(i);
        }
        // PowerPC: sync. The tables are there before anybody is looked up in them, and the caches may begin to listen.
        try {
            bus.sync();
        } catch (ErrnoException e) {
            // An access that does not end was translated by others' tables. The caches stay unused, that is empty,
            // until the next sync of all.
            LOG.log(System.Logger.Level.WARNING, "PAMU starts without caches: " + e.getMessage());
        }
        words.word(bypass, bypassed & ~ours);
        if ((words.word(bypass) & ours) != 0) {
            throw new ErrnoException(Errno.EIO, "PAMUBYPENR at physical 0x%x stays 0x%x: requesters would be bypassed",
                bypass, words.word(bypass));
        }
    }

    private void address(long register, long value) {
        words.word(register, (int) (value >>> 32));
        words.word(register + 4, (int) value);
    }

    /**
     * Closes every gate, whatever becomes of another one. An instance that does not answer has left the
     * machine, and the machine blocks what was behind it: nothing is open.
     *
     * @throws ErrnoException EIO if one stays open: it may still read the tables
     */
    private void shut() {
        Throwable failure = null;
        for (Instance instance : instances) {
            long control = instance.registers + Registers.PC;
            try {
                bus.write(control, 4, BigEndian.swap(Registers.PC_GATE_CLOSED) & 0xffff_ffffL);
                if ((words.word(control) & Registers.PC_GATE_CLOSED) == 0) {
                    throw new ErrnoException(Errno.EIO,
                        "%s: the gate stays open (PC at physical 0x%x is 0x%x); its tables are kept",
                        instance.path, control, words.word(control));
                }
            } catch (RuntimeException | Error e) {
                failure = e;
            }
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }

    /** @param leaving a LIODN that is not to answer for its record, because it changes hands */
    private void scan(Instance instance, List<Violation> records, int leaving, String then) {
        long registers = instance.registers;
        int pics = words.word(registers + Registers.PICS);
        if ((pics & Registers.PICS_VIOLATION) == 0 || pics == -1) {
            return;
        }
        int avs1 = words.word(registers + Registers.AVS1);
        long ava = words.pair(registers + Registers.AVA);
        int liodn = avs1 >>> 16;
        if (settings.violations() == ViolationPolicy.DISABLE && (avs1 & Registers.AVS1_VALID) != 0
                && (avs1 & (Registers.AVS1_GATE | Registers.AVS1_DISABLED)) == 0 && liodn != leaving
                && !disable(liodn, (avs1 & Registers.AVS1_LIODN) != 0)) {
            instance.muted = true;
        }
        int enable = instance.muted ? 0 : pics & Registers.PICS_VIOLATION_ENABLE;
        words.word(registers + Registers.PICS, Registers.PICS_VIOLATION | enable);
        words.word(registers + Registers.AVS1, avs1 & Registers.AVS1_STATUS);
        if ((avs1 & Registers.AVS1_VALID) != 0) {
            records.add(new Violation(instance.path, liodn, ava, refusal(avs1),
                liodn == leaving ? reason(avs1) + then : reason(avs1),
                String.format("AVS1=0x%08x AVA=0x%x", avs1, ava)));
        }
    }

    /**
     * @param unusable the record says that the LIODN had no usable entry
     * @return whether the offender's V was set and is now clear, or the record is from before it was set
     */
    private boolean disable(int liodn, boolean unusable) {
        if (liodn >= PamuTables.PRIMARIES) {
            return false;
        }
        long entry = tables.primary(liodn);
        synchronized (tables.primaries) {
            long first = tables.first(entry);
            if ((first & Paace.VALID) == 0) {
                return false;
            }
            if (unusable) {
                return true;
            }
            tables.pair(entry, Paace.ADDRESS, first & ~Paace.VALID);
            Member member = members.get(liodn);
            if (member != null) {
                member.tripped = true;
            }
            return true;
        }
    }

    /**
     * The classes are broader than a port's answers: WAV is an address outside the aperture as well as a window with
     * nothing in it.
     */
    private static int refusal(int avs1) {
        return (avs1 & (Registers.AVS1_GATE | Registers.AVS1_DISABLED)) != 0 ? Refusal.BLOCKED
            : (avs1 & Registers.AVS1_LIODN) != 0 ? Refusal.NO_REQUESTER
            : (avs1 & Registers.AVS1_WINDOW) != 0 ? Refusal.UNMAPPED
            : (avs1 & Registers.AVS1_PERMISSION) != 0 ? Refusal.DENIED
            : (avs1 & Registers.AVS1_OPERATION) != 0 ? Refusal.UNSUPPORTED : Refusal.BLOCKED;
    }

    private static String reason(int avs1) {
        StringJoiner classes = new StringJoiner("|");
        classes.setEmptyValue("AV");
        name(classes, avs1, Registers.AVS1_DISABLED, "PDV");
        name(classes, avs1, Registers.AVS1_GATE, "GCV");
        name(classes, avs1, Registers.AVS1_LIODN, "LAV");
        name(classes, avs1, Registers.AVS1_WINDOW, "WAV");
        name(classes, avs1, Registers.AVS1_PERMISSION, "APV");
        name(classes, avs1, Registers.AVS1_OPERATION, "OTV");
        return classes.toString();
    }

    private static void name(StringJoiner classes, int avs1, int field, String name) {
        if ((avs1 & field) != 0) {
            classes.add(name);
        }
    }
}
