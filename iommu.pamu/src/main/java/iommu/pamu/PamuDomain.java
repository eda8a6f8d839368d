// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Windows;
import iommu.pamu.DomainEntries.Window;
import iommu.pamu.table.Paace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Requester;

/**
 * An aperture and its windows, for any number of LIODNs; each has a PPAACT entry and a range of SPAACT entries of its
 * own. All PAMUs read the same tables: a LIODN that is attached behind several of them has one entry, which goes when
 * it has been detached behind each.
 *
 * <p>While no LIODN is attached the same entries lie in memory as a <em>draft</em>, under a number that no LIODN has,
 * so that {@link #lookup} reads what a device would be given. The first LIODN that is attached takes the draft's
 * entries over as they are; when the last one leaves they are the draft's again. A domain without a LIODN so takes as
 * many SPAACT entries as one with a single one.
 *
 * <p>Attributes: {@link Geometry}, then {@link Windows}; a new geometry makes the window count unset. {@link Enable}:
 * on for a fresh domain. {@link Stash}: {@code Stash(0, 0)} until set. Before they are set, Geometry has size 0 and
 * Windows count 0.
 *
 * <p>V of a primary entry is 1 while the domain is enabled, at least one window is mapped, and no violation has tripped
 * that requester ({@link ViolationPolicy#DISABLE}); geometry and window count change only while it is 0, so no change
 * opens anything. Everything is checked before the first word is written. What is thrown at an access to the tables or
 * by a sync all the same, an Error too, is undone: the fields say what was before, and entries that say something else
 * are written anew, valid bits down first. What cannot be undone at once is {@link #mend repaired} before the next
 * operation. Entries that a lookup may still be reading are nobody else's before a sync has succeeded; if that gives
 * up, because an access of a member does not end, all is as before. The cost of {@link #map} and {@link #unmap} is that
 * of the windows they touch, times the requesters.
 *
 * <p>Thread-safe: one monitor, held while waiting for {@link machine.api.Bus#sync} too, and never wanted by an
 * interrupt handler.
 */
final class PamuDomain implements IommuDomain {
    private static final long PAGE = 4096;

    /** Gives the physical address of a window's memory. */
    private interface Memory {
        /** {@return the physical address of {@code size} contiguous bytes at an offset from the mapping's start} */
        long physical(long offset, long size);
    }

    private final PamuDriver driver;
    private final PamuTables tables;
    private final DomainEntries entries;
    private final Member draft;

    // Guarded by this.
    private final Map<Integer, Member> members = new LinkedHashMap<>();
    private Stash stash = new Stash(0, 0);
    /** Whose entries are to be erased, and then given back. */
    private final List<Member> leaving = new ArrayList<>();
    /** Memory of mappings that came to nothing, whose entries may still be valid. */
    private final ArrayList<DmaBuffer> held = new ArrayList<>();
    /** Some entry may not be what the fields say. */
    private boolean stale;
    /** Nobody is attached and nobody will be. */
    private boolean closed;
    /** All is given back, or the tables are not there any more. */
    private boolean released;

    /** @throws ErrnoException ENOSPC if there is no place for one more draft */
    PamuDomain(PamuDriver driver) {
        this.driver = driver;
        this.tables = driver.tables();
        this.entries = new DomainEntries(tables);
        this.draft = new Member(this, tables.takeDraft());
        this.draft.first = 0;
    }

    @Override
    public synchronized void attach(Requester requester) {
        alive();
        driver.checkServes(requester);
        int liodn = requester.id();
        if (liodn < 0 || liodn >= PamuTables.PRIMARIES) {
            throw new ErrnoException(Errno.EINVAL, "LIODN 0x%x has no entry in the PPAACT; LIODNs are 0..0x%x", liodn,
                PamuTables.PRIMARIES - 1);
        }
        mend();
        Member here = members.get(liodn);
        if (here != null) {
            if (!here.units.add(requester.unit())) {
                throw new ErrnoException(Errno.EEXIST, "LIODN 0x%x behind %s is attached to this domain already", liodn,
                    requester.unit());
            }
            return;
        }
        Member member = new Member(this, liodn);
        member.units.add(requester.unit());
        if (driver.members().putIfAbsent(liodn, member) != null) {
            throw new ErrnoException(Errno.EBUSY, "LIODN 0x%x is attached to another domain; detach it there", liodn);
        }
        boolean only = members.isEmpty();
        try {
            member.first = only ? draft.first : tables.take(entries.secondaries());
            if (member.first < 0) {
                throw tables.full(entries.secondaries());
            }
            driver.collect(liodn, ", under no domain");
            members.put(liodn, member);
            if (only) {
                entries.takeOver(draft, member);
            } else {
                entries.write(member);
            }
        } catch (Throwable e) {
            leave(member);
            again(e);
            throw e;
        }
    }

    @Override
    public synchronized void detach(Requester requester) {
        alive();
        mend();
        Member member = members.get(requester.id());
        if (member == null || !member.units.contains(requester.unit())) {
            throw new ErrnoException(Errno.ENOENT, "LIODN 0x%x behind %s is not attached to this domain",
                requester.id(), requester.unit());
        }
        if (member.units.size() > 1) {
            member.units.remove(requester.unit());
            return;
        }
        boolean tripped = member.tripped;
        leave(member);
        try {
            erase();
        } catch (Throwable e) {
            if (leaving.remove(member)) {
                members.put(member.liodn, member);
                member.tripped = tripped;
                stale(e);
            }
            throw e;
        }
    }

    @Override
    public void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
        if (access == 0 || (access & ~Access.READ_WRITE) != 0) {
            throw new ErrnoException(Errno.EINVAL, "access 0x%x: must be READ, WRITE or both", access);
        }
        if (offset < 0 || length <= 0 || offset > buffer.size() - length) {
            throw new ErrnoException(Errno.EINVAL, "0x%x bytes at offset 0x%x do not lie in a buffer of 0x%x bytes",
                length, offset, buffer.size());
        }
        map(iova, length, access, buffer, (from, size) -> contiguous(buffer, offset + from, size));
    }

    /** As {@link #map}; write-only: a device must not read the interrupt controller's registers. */
    @Override
    public void mapDoorbell(long iova, long physical, long length) {
        if (physical < 0 || length <= 0 || physical > (1L << PamuDriver.ADDRESS_BITS) - length) {
            throw new ErrnoException(Errno.EINVAL, "doorbell 0x%x+0x%x does not lie in %d-bit physical space", physical,
                length, PamuDriver.ADDRESS_BITS);
        }
        if (((physical | length) & PAGE - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "doorbell 0x%x+0x%x: give whole 4 KiB pages", physical, length);
        }
        map(iova, length, Access.WRITE, null, (from, size) -> physical + from);
    }

    /** {@inheritDoc} A mapping of several windows may be unmapped window by window; a window cannot be cut. */
    @Override
    public synchronized long unmap(long iova, long length) {
        alive();
        mend();
        long last = iova + length - 1;
        if (length == 0 || Long.compareUnsigned(last, iova) < 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x is empty or wraps around", iova, length);
        }
        if (entries.mapped == 0 || Long.compareUnsigned(last, entries.geometry.start()) < 0
            || Long.compareUnsigned(iova, entries.geometry.end()) > 0) {
            return 0;
        }
        long size = entries.windowSize();
        int from = entries.geometry.contains(iova) ? (int) ((iova - entries.geometry.start()) / size) : 0;
        int to = entries.geometry.contains(last) ? (int) ((last - entries.geometry.start()) / size)
            : entries.windows.length - 1;
        BitSet gone = new BitSet();
        long removed = 0;
        for (int i = from; i <= to; i++) {
            long start = entries.geometry.start() + i * size;
            long end = start + entries.windows[i].size() - 1;
            if (entries.windows[i].mapped() && Long.compareUnsigned(iova, end) <= 0
                    && Long.compareUnsigned(last, start) >= 0) {
                if (Long.compareUnsigned(iova, start) > 0 || Long.compareUnsigned(last, end) < 0) {
                    throw new ErrnoException(Errno.EINVAL,
                        "iova 0x%x..0x%x cuts the mapping 0x%x..0x%x of window %d; unmap whole windows", iova, last,
                        start, end, i);
                }
                gone.set(i);
                removed += entries.windows[i].size();
            }
        }
        if (!gone.isEmpty()) {
            Window[] before = entries.windows.clone();
            int count = gone.cardinality();
            try {
                gone.stream().forEach(i -> entries.windows[i] = Window.NONE);
                entries.mapped -= count;
                takeDown(gone);
            } catch (Throwable e) {
                System.arraycopy(before, 0, entries.windows, 0, before.length);
                entries.count();
                stale(e);
                throw e;
            }
        }
        return removed;
    }

    /**
     * {@inheritDoc} Read for every attached requester: the first refusal if there is one, MALFORMED if their tables
     * disagree. With none attached it is the draft that is read. Without a mapping: NO_REQUESTER, as V is 0 then. Of a
     * domain that is disabled V is not looked at.
     */
    @Override
    public synchronized long lookup(long iova, int access) {
        alive();
        if (access != Access.READ && access != Access.WRITE) {
            throw new IllegalArgumentException("access " + access + ": ask for READ or WRITE");
        }
        mend();
        long answer = 0;
        boolean first = true;
        for (Member member : laid()) {
            long one = tables.lookup(member.liodn, iova, access, !entries.enabled && entries.mapped > 0);
            if (one < 0) {
                return one;
            }
            if (!first && one != answer) {
                return Refusal.MALFORMED;
            }
            answer = one;
            first = false;
        }
        return answer;
    }

    @Override
    public synchronized void set(DomainAttribute attribute) {
        alive();
        mend();
        if (attribute instanceof Geometry wanted) {
            setGeometry(wanted);
        } else if (attribute instanceof Windows wanted) {
            setWindows(wanted.count());
        } else if (attribute instanceof Enable wanted) {
            setEnable(wanted.on());
        } else if (attribute instanceof Stash wanted) {
            setStash(wanted);
        } else {
            throw unknown(attribute.getClass());
        }
    }

    @Override
    public synchronized <A extends DomainAttribute> A get(Class<A> attribute) {
        alive();
        DomainAttribute value;
        if (attribute == Geometry.class) {
            value = entries.geometry;
        } else if (attribute == Windows.class) {
            value = new Windows(entries.windows.length);
        } else if (attribute == Enable.class) {
            value = new Enable(entries.enabled);
        } else if (attribute == Stash.class) {
            value = stash;
        } else {
            throw unknown(attribute);
        }
        return attribute.cast(value);
    }

    @Override
    public void close() {
        synchronized (this) {
            if (released) {
                return;
            }
            block();
            letGo();
            entries.clear(draft);
            if (draft.first >= 0) {
                tables.give(draft.first, entries.secondaries());
            }
            tables.giveDraft(draft.liodn);
            released = true;
        }
        driver.forget(this);
    }

    /** Detaches everybody for good; if that does not begin, because an access does not end, all is as before. */
    private void block() {
        List<Member> going = List.copyOf(members.values());
        List<Member> tripped = going.stream().filter(member -> member.tripped).toList();
        going.forEach(this::leave);
        closed = true;
        try {
            erase();
        } catch (Throwable e) {
            if (!going.isEmpty() && leaving.containsAll(going)) {
                leaving.removeAll(going);
                going.forEach(member -> {
                    members.put(member.liodn, member);
                    member.tripped = tripped.contains(member);
                });
                closed = false;
                stale(e);
            }
            throw e;
        }
    }

    /** The driver has closed the gates and takes the tables away: no word may be written any more. */
    synchronized void orphan() {
        closed = true;
        released = true;
        letGo();
    }

    private void setGeometry(Geometry wanted) {
        idle("geometry");
        long size = wanted.size();
        long space = 1L << PamuDriver.ADDRESS_BITS;
        if (Long.bitCount(size) != 1 || size < PAGE) {
            throw new ErrnoException(Errno.EINVAL, "aperture size 0x%x must be a power of two from 0x1000", size);
        }
        if (size > space || wanted.start() < 0 || wanted.start() > space - size) {
            throw new ErrnoException(Errno.EINVAL, "%s does not lie in 0..0x%x", wanted, space - 1);
        }
        if ((wanted.start() & size - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "aperture start 0x%x must be a multiple of its size 0x%x",
                wanted.start(), size);
        }
        if (wanted.equals(entries.geometry)) {
            return;
        }
        // V is 0: nobody looks at the entries, and those that are given back are found by nobody.
        for (Member member : laid()) {
            tables.give(member.first, entries.secondaries());
            member.first = 0;
        }
        Geometry before = entries.geometry;
        Window[] windowsBefore = entries.windows;
        entries.geometry = wanted;
        entries.windows = new Window[0];
        try {
            laid().forEach(entries::write);
        } catch (Throwable e) {
            entries.geometry = before;
            back(windowsBefore);
            stale(e);
            throw e;
        }
    }

    private void setWindows(int count) {
        idle("window count");
        int max = driver.capabilities().maxWindows();
        if (entries.geometry.size() == 0) {
            throw new ErrnoException(Errno.EINVAL, "%d windows of what? Set the geometry first", count);
        }
        if (count < 1 || count > max || Integer.bitCount(count) != 1) {
            throw new ErrnoException(Errno.EINVAL, "window count %d must be a power of two in 1..%d", count, max);
        }
        if (entries.geometry.size() / count < PAGE) {
            throw new ErrnoException(Errno.EINVAL, "%d windows of an aperture of 0x%x bytes are smaller than 0x1000",
                count, entries.geometry.size());
        }
        Window[] fresh = new Window[count];
        Arrays.fill(fresh, Window.NONE);
        int[] ranges = laid().stream().mapToInt(member -> member.first).toArray();
        tables.exchange(ranges, entries.secondaries(), DomainEntries.secondaries(count));
        int i = 0;
        for (Member member : laid()) {
            member.first = ranges[i++];
        }
        Window[] before = entries.windows;
        entries.windows = fresh;
        try {
            laid().forEach(entries::write);
        } catch (Throwable e) {
            back(before);
            stale(e);
            throw e;
        }
    }

    /** The window count is what it was; unset, if others have taken the entries meanwhile. */
    private void back(Window[] before) {
        for (Member member : laid()) {
            tables.give(member.first, entries.secondaries());
            member.first = Member.NONE;
        }
        entries.windows = before;
        for (Member member : laid()) {
            member.first = tables.take(DomainEntries.secondaries(before.length));
        }
        if (laid().stream().anyMatch(member -> member.first < 0)) {
            for (Member member : laid()) {
                if (member.first >= 0) {
                    tables.give(member.first, DomainEntries.secondaries(before.length));
                }
                member.first = 0;
            }
            entries.windows = new Window[0];
        }
    }

    private void setEnable(boolean on) {
        boolean before = entries.enabled;
        List<Member> tripped = laid().stream().filter(member -> member.tripped).toList();
        try {
            entries.enabled = on;
            for (Member member : laid()) {
                if (on) {
                    driver.collect(member.liodn, ", before Enable");
                    synchronized (tables.primaries) {
                        member.tripped = false;
                    }
                }
                entries.gate(member);
            }
            if (on) {
                driver.unmute();
            } else {
                sync();
            }
        } catch (Throwable e) {
            entries.enabled = before;
            synchronized (tables.primaries) {
                tripped.forEach(member -> member.tripped = true);
            }
            stale(e);
            throw e;
        }
    }

    private void setStash(Stash wanted) {
        int id = StashTarget.find(driver.machine(), wanted);
        int before = entries.cache;
        try {
            entries.cache = id;
            for (Member member : laid()) {
                for (int i = 0; i < entries.windows.length; i++) {
                    tables.pair(entries.entry(member, i), Paace.ATTRIBUTES, entries.attributes(i));
                }
            }
        } catch (Throwable e) {
            entries.cache = before;
            stale(e);
            throw e;
        }
        stash = wanted;
    }

    /** @param buffer what is mapped; null if it is nobody's memory */
    private synchronized void map(long iova, long length, int access, DmaBuffer buffer, Memory memory) {
        alive();
        mend();
        if (entries.windows.length == 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x: set the geometry, then the windows, before mapping",
                iova, length);
        }
        long size = entries.windowSize();
        long offset = iova - entries.geometry.start();
        if (!entries.geometry.contains(iova) || length > entries.geometry.size() - offset) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x does not lie in the %s", iova, length,
                entries.geometry);
        }
        if (offset % size != 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x is not the start of a window; windows have 0x%x bytes",
                iova, size);
        }
        if (length < size ? Long.bitCount(length) != 1 || length < PAGE : length % size != 0) {
            throw new ErrnoException(Errno.EINVAL,
                "length 0x%x must be a multiple of the window size 0x%x, or a smaller power of two from 0x1000", length,
                size);
        }
        int first = (int) (offset / size);
        int count = (int) Math.max(1, length / size);
        long piece = Math.min(length, size);
        Window[] fresh = new Window[count];
        for (int i = 0; i < count; i++) {
            if (entries.windows[first + i].mapped()) {
                throw new ErrnoException(Errno.EEXIST, "window %d at iova 0x%x is mapped to 0x%x+0x%x; unmap it first",
                    first + i, iova + i * size, entries.windows[first + i].physical(),
                    entries.windows[first + i].size());
            }
        }
        for (int i = 0; i < count; i++) {
            long physical = memory.physical(i * size, piece);
            if ((physical & piece - 1) != 0) {
                throw new ErrnoException(Errno.EFAULT,
                    "physical 0x%x behind iova 0x%x must be a multiple of the mapping's 0x%x bytes; allocate it so "
                        + "aligned",
                    physical, iova + i * size, piece);
            }
            fresh[i] = new Window(physical, piece, access);
        }
        held.ensureCapacity(held.size() + 1);
        if (buffer != null) {
            buffer.retain();
        }
        try {
            System.arraycopy(fresh, 0, entries.windows, first, count);
            entries.mapped += count;
            for (Member member : laid()) {
                // Window 0 last: its entry is the one that gates.
                for (int i = first + count - 1; i >= Math.max(first, 1); i--) {
                    entries.write(member, i);
                }
                if (first == 0) {
                    entries.write(member, 0);
                } else if (entries.mapped == count) {
                    entries.gate(member);
                }
            }
        } catch (Throwable e) {
            if (buffer != null) {
                held.add(buffer);
            }
            Arrays.fill(entries.windows, first, first + count, Window.NONE);
            entries.count();
            stale(e);
            throw e;
        }
        if (buffer != null) {
            buffer.release();
        }
    }

    /** Windows that are not mapped any more: valid bits first, then wait, then the rest of the words. */
    private void takeDown(BitSet gone) {
        for (Member member : laid()) {
            if (entries.mapped == 0 || gone.get(0)) {
                entries.gate(member);
            }
            for (int i = gone.nextSetBit(1); i > 0; i = gone.nextSetBit(i + 1)) {
                tables.pair(entries.entry(member, i), Paace.ADDRESS, Paace.secondary(member.liodn, 0, false));
            }
        }
        sync();
        for (Member member : laid()) {
            for (int i = gone.nextSetBit(0); i >= 0; i = gone.nextSetBit(i + 1)) {
                tables.pair(entries.entry(member, i), Paace.TRANSLATED, entries.translated(i));
            }
        }
    }

    /**
     * A requester is not attached any more: its entries are to go, and its LIODN and SPAACT entries are nobody else's
     * before.
     */
    private void leave(Member member) {
        leaving.add(member);
        members.remove(member.liodn);
    }

    /** Tries to bring the entries back in line with the fields, after a call that threw half way. */
    private void stale(Throwable e) {
        stale = true;
        again(e);
    }

    private void again(Throwable e) {
        try {
            mend();
        } catch (Throwable worse) {
            // Before the next operation, then.
            if (worse != e) {
                e.addSuppressed(worse);
            }
        }
    }

    /**
     * Completes an operation that failed half way: a requester that leaves is blocked, and every entry is what the
     * fields say.
     */
    private void mend() {
        erase();
        if (stale) {
            rewrite();
            stale = false;
            letGo();
        }
    }

    private void letGo() {
        held.forEach(DmaBuffer::release);
        held.clear();
    }

    /**
     * Blocks who leaves, waits once for all, then erases the entries and gives them back. The last one's are the
     * draft's, and written when they are asked for.
     */
    private void erase() {
        if (leaving.isEmpty()) {
            return;
        }
        for (Member member : leaving) {
            long entry = tables.primary(member.liodn);
            synchronized (tables.primaries) {
                tables.pair(entry, Paace.ADDRESS, tables.first(entry) & ~Paace.VALID);
                member.tripped = true;
            }
        }
        driver.machine().bus().sync(leaving.stream().map(member -> member.liodn).collect(Collectors.toSet()));
        leaving.forEach(member -> driver.collect(member.liodn, ", under a domain it has left"));
        while (!leaving.isEmpty()) {
            Member member = leaving.get(leaving.size() - 1);
            entries.clear(member);
            leaving.remove(leaving.size() - 1);
            boolean drafted = members.isEmpty() && leaving.isEmpty() && !closed;
            if (drafted) {
                draft.first = member.first;
            } else if (member.first >= 0) {
                tables.give(member.first, entries.secondaries());
            }
            driver.members().remove(member.liodn, member);
            stale |= drafted;
        }
    }

    /** Waits for what the members have in flight; no other domain's devices can delay that. */
    private void sync() {
        if (!members.isEmpty()) {
            driver.machine().bus().sync(Set.copyOf(members.keySet()));
        }
    }

    /**
     * Writes what differs from the fields. An entry that was only taken down is put up again at once; others are taken
     * down first, and written anew after a sync.
     */
    private void rewrite() {
        List<Runnable> anew = new ArrayList<>();
        boolean wait = false;
        for (Member member : laid()) {
            for (int i = Math.max(1, entries.windows.length) - 1; i >= 0; i--) {
                int window = i;
                if (!entries.says(member, i, Paace.ATTRIBUTES, Paace.INDEX)) {
                    anew.add(() -> entries.write(member, window));
                    entries.down(member, i);
                    wait = true;
                } else if (!entries.says(member, i, Paace.ADDRESS, Paace.ADDRESS)) {
                    wait |= (tables.first(entries.entry(member, i)) & ~entries.pair(member, i, Paace.ADDRESS)
                        & DomainEntries.OPENS) != 0;
                    entries.address(member, i);
                }
            }
        }
        if (wait) {
            sync();
        }
        anew.forEach(Runnable::run);
    }

    /** {@return whose entries lie in memory: every requester's or, while there is none, the draft's} */
    private Collection<Member> laid() {
        return members.isEmpty() ? List.of(draft) : members.values();
    }

    private void alive() {
        if (closed) {
            throw PamuDriver.gone();
        }
    }

    private void idle(String what) {
        if (entries.mapped > 0) {
            throw new ErrnoException(Errno.EBUSY, "the %s cannot change while %d of %d windows are mapped; unmap first",
                what, entries.mapped, entries.windows.length);
        }
    }

    private static long contiguous(DmaBuffer buffer, long offset, long size) {
        long start = buffer.physical(offset);
        for (long covered = 0; covered < size; ) {
            DmaBuffer.Extent extent = buffer.at(offset + covered);
            if (extent.physical() != start + covered) {
                throw new ErrnoException(Errno.EFAULT,
                    "memory behind one window must be contiguous: 0x%x bytes at buffer offset 0x%x go from 0x%x to "
                        + "0x%x",
                    size, offset, start + covered, extent.physical());
            }
            covered += extent.length();
        }
        return start;
    }

    private static ErrnoException unknown(Class<?> attribute) {
        return new ErrnoException(Errno.ENOTTY, "a PAMU domain has no attribute %s", attribute.getSimpleName());
    }
}
