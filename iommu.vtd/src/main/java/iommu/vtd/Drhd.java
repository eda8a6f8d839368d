// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.Violation;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;

/**
 * One remapping hardware unit as the driver sees it: registers, root and context tables, domain ids, fault records.
 *
 * <p>From its making to its end, and after it, translation is on: source ids without context entry are refused by the
 * unit itself. What stays behind is one page of zeroes that serves as root table; a successor finds it in RTADDR
 * and takes it over.
 *
 * <p><b>Unconfirmed invalidations.</b> An entry is removed from memory first, then the unit is told to invalidate it.
 * If it does not confirm that, it may still use the entry: the unit is <em>in doubt</em>. The next request begins with
 * an invalidation of everything, and only its confirmation ends the doubt. Until then no further source id is let
 * through, so neither a domain id nor a source id meets what is cached of its last owner; and an owner of tables calls
 * {@link #settle} before their memory goes back.
 */
final class Drhd implements AutoCloseable {
    private static final int PAGE = 4096;
    private static final long PRESENT = 1;
    private static final int MOST_EARLY = 64;

    private final Bus bus;
    private final DmaMemory pool;
    private final Machine machine;
    private final String path;
    private final int segment;
    private final Registers registers;
    private final VtdCapabilities capabilities;
    private final Invalidation invalidation;
    private final Object faults = new Object();
    /**
     * Records that were read before a source id changed hands, for the next who asks; the first ones. Guarded by
     * faults.
     */
    private final List<Violation> early = new ArrayList<>();
    /** Null if the root table was taken over from a predecessor. */
    private final DmaBuffer fresh;

    /** Orders that were not confirmed, so far. */
    private final AtomicInteger failures = new AtomicInteger();
    /** The number of those that a later invalidation of everything has confirmed. */
    private final AtomicInteger settled = new AtomicInteger();
    private volatile boolean remapping;
    /** The unit is somebody else's, or nobody's. */
    private volatile boolean ended;
    /** Other hardware is in its place, which has cached nothing of these tables. */
    private volatile boolean replaced;

    // Guarded by this.
    private final long root;
    private final DmaBuffer[] contexts = new DmaBuffer[256];
    private final BitSet domains = new BitSet();
    /** Source ids whose context entry is to be absent and may not be. Guarded by itself; has room for all. */
    private final BitSet left = new BitSet(1 << 16);

    /**
     * Takes the unit over: from here on nothing passes untranslated.
     *
     * @throws ErrnoException ENODEV if no unit answers; EOPNOTSUPP if it walks no tables we make; ETIMEDOUT; ENOMEM
     */
    Drhd(Machine machine, Node node, VtdDriverSettings settings) {
        this.machine = machine;
        bus = machine.bus();
        pool = machine.memory();
        path = node.path();
        segment = segment(node);
        if (node.registers().isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "%s has no register range", path);
        }
        long base = node.registers().get(0).physical();
        registers = new Registers(bus, base, path, settings.timeoutMillis());
        if (registers.read(VtdRegisters.VER) == -1) {
            throw new ErrnoException(Errno.ENODEV, "%s: no unit answers at 0x%x", path, base);
        }
        capabilities = new VtdCapabilities(registers.read8(VtdRegisters.CAP), registers.read8(VtdRegisters.ECAP));
        if ((capabilities.widths() & 0xe) == 0) {
            throw new ErrnoException(Errno.EOPNOTSUPP, "%s walks tables of none of 3, 4, 5 levels (SAGAW 0x%x)",
                path, capabilities.widths());
        }
        // Domain id 0 is the hardware's own in caching mode.
        domains.set(0);
        fresh = inherited() ? null : zeroes();
        root = fresh == null ? registers.read8(VtdRegisters.RTADDR) & -PAGE : fresh.physical(0);
        try {
            invalidation = capabilities.queued()
                ? new QueuedInvalidation(bus, pool, registers, capabilities, path, settings.descriptorDrains())
                : new RegisterInvalidation(registers, capabilities, settings.descriptorDrains());
        } catch (Throwable e) {
            // Not in RTADDR yet.
            if (fresh != null) {
                fresh.close();
            }
            throw e;
        }
        try {
            start(settings.remapping());
        } catch (Throwable e) {
            keep();
            throw e;
        }
    }

    /** Sets how long the unit may take from now on. */
    void timeout(int millis) {
        registers.timeout(millis);
    }

    String path() {
        return path;
    }

    /** {@return the PCI segment whose source ids it is given} */
    int segment() {
        return segment;
    }

    /** {@return the PCI segment that the node of a DRHD or an RMRR names, 0 if it names none} */
    static int segment(Node node) {
        int[] cells = node.cells("segment");
        return cells.length == 0 ? 0 : cells[0];
    }

    VtdCapabilities capabilities() {
        return capabilities;
    }

    /** @throws ErrnoException ENOSPC if all domain ids are taken */
    synchronized int takeDomainId() {
        int id = domains.nextClearBit(0);
        if (id >= capabilities.domains()) {
            throw new ErrnoException(Errno.ENOSPC, "%s: all %d domain ids are taken; detach a domain", path,
                capabilities.domains());
        }
        domains.set(id);
        return id;
    }

    synchronized void giveDomainId(int id) {
        domains.clear(id);
    }

    /**
     * Makes a source id's context entry present. If it fails, the entry is not present, and the unit is in doubt unless
     * it has confirmed that it forgot what it may have seen of it.
     *
     * @throws ErrnoException EBUSY if it is present; ENOMEM; ETIMEDOUT or EIO if the unit does not confirm this, or
     *     what was before
     */
    synchronized void present(int source, PageTables tables, int domain) {
        settle();
        int[] self = {source};
        int number = source >>> 8;
        if (contexts[number] == null) {
            contexts[number] = zeroes();
        }
        if ((bus.read(root + number * 16L, 8) & PRESENT) == 0) {
            store(root + number * 16L + 8, 0);
            store(root + number * 16L, contexts[number].physical(0) | PRESENT);
        }
        long entry = contexts[number].physical(0) + (source & 0xff) * 16L;
        if ((bus.read(entry, 8) & PRESENT) != 0) {
            throw new ErrnoException(Errno.EBUSY, "%s: context entry of source id 0x%04x is present", path, source);
        }
        collect(", under no domain", source);
        try {
            // The low half, with P, makes the high half valid.
            store(entry + 8, (long) domain << 8 | tables.levels() - 2);
            store(entry, tables.root() | PRESENT);
            if (capabilities.cachingMode()) {
                tell(() -> {
                    // What was cached as not present is tagged with domain id 0.
                    invalidation.context(0, source);
                    invalidation.translations(domain);
                });
            } else if (capabilities.writeBufferFlush()) {
                flushWriteBuffer();
            }
        } catch (Throwable e) {
            try {
                absent(domain, self);
            } catch (Throwable again) {
                e.addSuppressed(again);
            }
            throw e;
        }
    }

    /**
     * Takes context entries of source ids under one domain id away and makes the unit forget them. The entries are gone
     * even if that is not confirmed; to be called again, or left to {@link #settle}.
     *
     * @throws ErrnoException ETIMEDOUT or EIO if the unit does not confirm it: it is in doubt
     */
    synchronized void absent(int domain, int... sources) {
        synchronized (left) {
            for (int source : sources) {
                left.set(source);
            }
        }
        try {
            settle();
            takeAway();
            if (capabilities.writeBufferFlush()) {
                registers.flushWriteBuffer();
            }
            for (int source : sources) {
                invalidation.context(domain, source);
            }
            invalidation.translations(domain);
        } catch (Throwable e) {
            unconfirmed(e);
        }
    }

    /**
     * Ends a doubt, if there is one: has the unit forget everything. Does not wait for what is in flight.
     *
     * @throws ErrnoException ETIMEDOUT or EIO if it does not confirm it: what it may have cached must not be used for
     *     anything else
     */
    void settle() {
        int seen = failures.get();
        if (seen == settled.get() || replaced) {
            return;
        }
        if (ended) {
            throw new ErrnoException(Errno.EIO,
                "%s: its driver ended before the unit had confirmed an invalidation; the memory concerned "
                + "is kept until other hardware is in the unit's place: restart that", path);
        }
        try {
            takeAway();
            everything();
        } catch (ErrnoException e) {
            if (!gone()) {
                throw e;
            }
        }
        settled.accumulateAndGet(seen, Math::max);
    }

    private void everything() {
        if (capabilities.writeBufferFlush()) {
            registers.flushWriteBuffer();
        }
        invalidation.contexts();
        invalidation.translations();
        if (remapping) {
            ((QueuedInvalidation) invalidation).interrupts();
        }
    }

    /** A mapping was added. Only a unit that caches what is not present has to be told. */
    void added(int domain, long first, long last) {
        if (capabilities.cachingMode()) {
            removed(domain, first, last, false);
        } else if (capabilities.writeBufferFlush()) {
            flushWriteBuffer();
        }
    }

    /**
     * Something was taken away between the two addresses: one invalidation, of the smallest block of pages or of the
     * domain.
     */
    void removed(int domain, long first, long last, boolean leaves) {
        if (capabilities.writeBufferFlush()) {
            flushWriteBuffer();
        }
        int mask = Long.SIZE - Long.numberOfLeadingZeros((first ^ last) >>> 12);
        if (capabilities.pageSelective() && mask <= capabilities.maximumMask()) {
            tell(() -> invalidation.translations(domain, first & -1L << 12 + mask, mask, leaves));
        } else {
            forget(domain);
        }
    }

    /** Makes the unit forget all translations of a domain id. */
    void forget(int domain) {
        tell(() -> invalidation.translations(domain));
    }

    /** {@return whether interrupts can be remapped: needs the queue, for its entries are cached} */
    boolean remaps() {
        return capabilities.interruptRemapping() && capabilities.queued();
    }

    /**
     * Switches interrupt remapping on.
     *
     * @param irta base, EIME and size as in the register
     */
    synchronized void remap(long irta) {
        remapping = true;
        registers.write8(VtdRegisters.IRTA, irta);
        oneShot(VtdRegisters.SIRTP);
        ((QueuedInvalidation) invalidation).interrupts();
        if ((registers.read(VtdRegisters.GSTS) & VtdRegisters.CFI) != 0) {
            registers.command(VtdRegisters.CFI, false);
        }
        registers.command(VtdRegisters.IRE, true);
    }

    /**
     * Lets messages pass as they are, whatever a predecessor or the start has left: this driver has no table for them.
     */
    synchronized void passInterrupts() {
        if ((registers.read(VtdRegisters.GSTS) & VtdRegisters.IRE) != 0) {
            registers.command(VtdRegisters.IRE, false);
        }
        remapping = false;
    }

    /** Makes the unit forget an entry of the remapping table. */
    void forgetInterrupt(int index) {
        tell(() -> ((QueuedInvalidation) invalidation).interrupt(index));
    }

    /**
     * As software reads them: from FRI on while F, then the overflow. Has a lock of its own: an interrupt handler may
     * call.
     */
    void violations(List<Violation> found) {
        synchronized (faults) {
            found.addAll(early);
            early.clear();
            read(found);
        }
    }

    /**
     * Reads what is recorded before source ids change hands: nobody is taken for what another one's device did. The
     * caller has seen to it that none of their accesses is in flight, or that their entries were not present.
     *
     * @param then where they were, for the reason of their records
     */
    void collect(String then, int... sources) {
        synchronized (faults) {
            List<Violation> found = new ArrayList<>();
            try {
                read(found);
            } finally {
                for (Violation each : found) {
                    if (early.size() < MOST_EARLY) {
                        early.add(IntStream.of(sources).noneMatch(source -> source == each.requester()) ? each
                            : new Violation(each.unit(), each.requester(), each.iova(), each.refusal(),
                                each.reason() + then, each.registers()));
                    }
                }
            }
        }
    }

    private void read(List<Violation> found) {
        synchronized (faults) {
            int status = registers.read(VtdRegisters.FSTS);
            if (status == -1) {
                return;
            }
            int record = status >>> 8 & 0xff;
            for (int i = 0; i < capabilities.faultRecords() && (status & VtdRegisters.PPF) != 0; i++) {
                int offset = capabilities.faultOffset() + 16 * ((record + i) % capabilities.faultRecords());
                long high = registers.read8(offset + 8);
                if (high >= 0) {
                    break;
                }
                long low = registers.read8(offset);
                registers.write(offset + 12, VtdRegisters.FAULT);
                found.add(new Violation(path, (int) high & 0xffff, low, refusal((int) (high >>> 32) & 0xff),
                    reason((int) (high >>> 32) & 0xff, high << 1 < 0),
                    String.format("FSTS=0x%08x FRCD=0x%016x%016x", status, high, low)));
            }
            if ((status & VtdRegisters.PFO) != 0) {
                registers.write(VtdRegisters.FSTS, VtdRegisters.PFO);
            }
        }
    }

    /**
     * Clears the tables and gives them back. Translation, and interrupt remapping if it was on, stay on over a page of
     * zeroes. If the unit does not confirm it, tables and queue are kept until other hardware is in its place.
     *
     * @throws ErrnoException ETIMEDOUT or EIO if the unit does not confirm it
     */
    @Override
    public synchronized void close() {
        try {
            if (gone()) {
                if (invalidation instanceof QueuedInvalidation queue) {
                    queue.abandon();
                }
                if (fresh != null) {
                    fresh.close();
                }
            } else {
                end();
                if (fresh != null) {
                    whenReplaced(fresh::close);
                }
            }
        } catch (Throwable e) {
            failures.incrementAndGet();
            ended = true;
            keep();
            throw e;
        }
        settled.set(failures.get());
        ended = true;
        giveContextsBack();
    }

    /** It is not known what the unit still reads: nothing goes back before there is another. */
    private void keep() {
        whenReplaced(() -> {
            replaced = true;
            if (invalidation instanceof QueuedInvalidation queue) {
                queue.abandon();
            }
            if (fresh != null) {
                fresh.close();
            }
            giveContextsBack();
        });
    }

    private void end() {
        for (int i = 0; i < contexts.length; i++) {
            store(root + i * 16L, 0);
        }
        everything();
        if (remapping) {
            // 256 entries, none present, in the same page.
            registers.write8(VtdRegisters.IRTA, root | 7);
            oneShot(VtdRegisters.SIRTP);
            ((QueuedInvalidation) invalidation).interrupts();
        }
        bus.sync();
        if (invalidation instanceof QueuedInvalidation queue) {
            queue.close();
        }
    }

    private synchronized void giveContextsBack() {
        for (DmaBuffer table : contexts) {
            if (table != null) {
                table.close();
            }
        }
    }

    /**
     * What the hardware may still read, as the page of zeroes that a successor uses too, is its own until other
     * hardware is in its place: that has cached nothing of it. The moment at which hardware leaves would be too early,
     * for until its ports are blocked it still reads.
     */
    private void whenReplaced(Runnable giveBack) {
        Attachment[] watch = new Attachment[1];
        synchronized (watch) {
            watch[0] = machine.onReady(node -> {
                if (node.path().equals(path) && machine.ready(node)) {
                    synchronized (watch) {
                        watch[0].close();
                    }
                    giveBack.run();
                }
            });
        }
    }

    /** {@return whether a predecessor has left its root table: translation is on, and the page is all zeroes} */
    private boolean inherited() {
        int on = VtdRegisters.TE | VtdRegisters.SRTP;
        long rtaddr = registers.read8(VtdRegisters.RTADDR);
        if ((registers.read(VtdRegisters.GSTS) & on) != on || (rtaddr & PAGE - 1) != 0) {
            return false;
        }
        long any = 0;
        for (int i = 0; i < PAGE; i += 8) {
            any |= bus.read(rtaddr + i, 8);
        }
        return any == 0;
    }

    /** Hardware that has been taken out has forgotten everything, and the devices behind it are blocked. */
    private void tell(Runnable order) {
        try {
            settle();
            order.run();
        } catch (Throwable e) {
            unconfirmed(e);
        }
    }

    /** Throws what an order has ended in, unless the hardware is not there any more. */
    private void unconfirmed(Throwable e) {
        failures.incrementAndGet();
        if (!(e instanceof ErrnoException) || !gone()) {
            Failures.end(e);
        }
    }

    /**
     * No context entry is present that should not be: all are tried, and those that fail are tried again when the doubt
     * is to be ended.
     */
    private void takeAway() {
        Throwable failure = null;
        synchronized (left) {
            for (int source = left.nextSetBit(0); source >= 0; source = left.nextSetBit(source + 1)) {
                long entry = contexts[source >>> 8].physical(0) + (source & 0xff) * 16L;
                try {
                    store(entry, 0);
                    store(entry + 8, 0);
                    left.clear(source);
                } catch (Throwable e) {
                    failure = Failures.add(failure, e);
                }
            }
        }
        Failures.end(failure);
    }

    private void store(long physical, long value) {
        if (bus.write(physical, 8, value) != Bus.OK) {
            throw new ErrnoException(Errno.EIO, "%s: no memory answers at 0x%x, where its tables are", path, physical);
        }
    }

    private boolean gone() {
        return registers.read(VtdRegisters.VER) == -1;
    }

    private void start(boolean remap) {
        if ((registers.read(VtdRegisters.PMEN) & 1 << 31) != 0) {
            registers.write(VtdRegisters.PMEN, 0);
            registers.await("PMEN", () -> (registers.read(VtdRegisters.PMEN) & 1) == 0);
        }
        registers.write8(VtdRegisters.RTADDR, root);
        oneShot(VtdRegisters.SRTP);
        invalidation.contexts();
        invalidation.translations();
        if (remap && remaps()) {
            // Before anything passes, so that no message does until there is a table: 256 entries, none present, in the
            // root's page.
            remap(root | 7);
        }
        registers.command(VtdRegisters.TE, true);
    }

    private void oneShot(int bit) {
        registers.command(bit, true);
    }

    private void flushWriteBuffer() {
        tell(registers::flushWriteBuffer);
    }

    private DmaBuffer zeroes() {
        DmaBuffer page = pool.allocate(PAGE, PAGE, DmaMemory.Layout.CONTIGUOUS);
        try {
            page.write(0, new byte[PAGE], 0, PAGE);
        } catch (Throwable e) {
            page.close();
            throw e;
        }
        return page;
    }

    /**
     * VT-d has one code for a page that is absent and for one that is not for this access (5 for writes, 6 for reads).
     */
    private static int refusal(int code) {
        return switch (code) {
            case 0x01, 0x02, 0x03 -> Refusal.NO_REQUESTER;
            case 0x04, 0x21 -> Refusal.OUTSIDE;
            case 0x22 -> Refusal.UNMAPPED;
            case 0x05, 0x06, 0x26 -> Refusal.DENIED;
            case 0x0d, 0x0e, 0x20, 0x25 -> Refusal.UNSUPPORTED;
            default -> Refusal.MALFORMED;
        };
    }

    private static String reason(int code, boolean read) {
        String text = switch (code) {
            case 0x01 -> "root entry not present";
            case 0x02 -> "context entry not present";
            case 0x03 -> "context entry invalid";
            case 0x04 -> "address beyond the domain's width";
            case 0x05 -> "no write permission";
            case 0x06 -> "no read permission";
            case 0x07 -> "page table not readable";
            case 0x08 -> "root table not readable";
            case 0x09 -> "context table not readable";
            case 0x0a -> "reserved bits in the root entry";
            case 0x0b -> "reserved bits in the context entry";
            case 0x0c -> "reserved bits in a page table entry";
            case 0x0d -> "request type blocked";
            case 0x0e -> "translated into the interrupt range";
            case 0x20 -> "interrupt request with reserved bits";
            case 0x21 -> "interrupt index beyond the table";
            case 0x22 -> "interrupt entry not present";
            case 0x23 -> "interrupt table not readable";
            case 0x24 -> "reserved bits in the interrupt entry";
            case 0x25 -> "compatibility format interrupt blocked";
            case 0x26 -> "interrupt from another source";
            default -> "unknown";
        };
        return String.format("0x%02x %s%s", code, code >= 0x20 ? "" : read ? "read: " : "write: ", text);
    }
}
