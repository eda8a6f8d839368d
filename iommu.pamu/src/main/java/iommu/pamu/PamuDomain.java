// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Windows;
import iommu.pamu.table.Paace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashSet;
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
    private static final Geometry UNSET = new Geometry(0, 0);
    private static final int NONE = -1;
    /** Bits of words 0 and 1 that let through. */
    private static final long OPENS = Paace.primary(0, 2, false, Access.READ_WRITE, true);

    /** A requester under this domain, or its draft. */
    static final class Member {
        final PamuDomain domain;
        /** Of a draft: where its primary entry lies, see {@link PamuTables#takeDraft}. */
        final int liodn;
        /** Index of window 1's SPAACT entry; NONE while it has none. Guarded by the domain. */
        int first = NONE;
        /** A violation has cleared V. Guarded by {@link PamuTables#primaries}. */
        boolean tripped;
        /** Paths of the PAMUs it is attached behind; a draft's is empty. Guarded by the domain. */
        final Set<String> units = new HashSet<>();

        Member(PamuDomain domain, int liodn) {
            this.domain = domain;
            this.liodn = liodn;
        }
    }

    private record Window(long physical, long size, int access) {
        static final Window NONE = new Window(0, 0, 0);

        boolean mapped() {
            return size != 0;
        }
    }

    /** Gives the physical address of a window's memory. */
    private interface Memory {
        /** {@return the physical address of {@code size} contiguous bytes at an offset from the mapping's start} */
        long physical(long offset, long size);
    }

    private final PamuDriver driver;
    private final PamuTables tables;
    private final Member draft;

    // Guarded by this.
    private final Map<Integer, Member> members = new LinkedHashMap<>();
    private Geometry geometry = UNSET;
    private Window[] windows = {};
    private int mapped;
    private boolean enabled = true;
    private Stash stash = new Stash(0, 0);
    private int cache;
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
            member.first = only ? draft.first : tables.take(secondaries(windows.length));
            if (member.first < 0) {
                throw tables.full(secondaries(windows.length));
            }
            driver.collect(liodn, ", under no domain");
            members.put(liodn, member);
            if (only) {
                takeOver(member);
            } else {
                write(member);
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
        if (mapped == 0 || Long.compareUnsigned(last, geometry.start()) < 0
            || Long.compareUnsigned(iova, geometry.end()) > 0) {
            return 0;
        }
        long size = windowSize();
        int from = geometry.contains(iova) ? (int) ((iova - geometry.start()) / size) : 0;
        int to = geometry.contains(last) ? (int) ((last - geometry.start()) / size) : windows.length - 1;
        BitSet gone = new BitSet();
        long removed = 0;
        for (int i = from; i <= to; i++) {
            long start = geometry.start() + i * size;
            long end = start + windows[i].size - 1;
            if (windows[i].mapped() && Long.compareUnsigned(iova, end) <= 0 && Long.compareUnsigned(last, start) >= 0) {
                if (Long.compareUnsigned(iova, start) > 0 || Long.compareUnsigned(last, end) < 0) {
                    throw new ErrnoException(Errno.EINVAL,
                        "iova 0x%x..0x%x cuts the mapping 0x%x..0x%x of window %d; unmap whole windows", iova, last,
                        start, end, i);
                }
                gone.set(i);
                removed += windows[i].size;
            }
        }
        if (!gone.isEmpty()) {
            Window[] before = windows.clone();
            int count = gone.cardinality();
            try {
                gone.stream().forEach(i -> windows[i] = Window.NONE);
                mapped -= count;
                takeDown(gone);
            } catch (Throwable e) {
                System.arraycopy(before, 0, windows, 0, before.length);
                mapped = count(before);
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
            long one = tables.lookup(member.liodn, iova, access, !enabled && mapped > 0);
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
            value = geometry;
        } else if (attribute == Windows.class) {
            value = new Windows(windows.length);
        } else if (attribute == Enable.class) {
            value = new Enable(enabled);
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
            clear(draft);
            if (draft.first >= 0) {
                tables.give(draft.first, secondaries(windows.length));
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
        if (wanted.equals(geometry)) {
            return;
        }
        // V is 0: nobody looks at the entries, and those that are given back are found by nobody.
        for (Member member : laid()) {
            tables.give(member.first, secondaries(windows.length));
            member.first = 0;
        }
        Geometry before = geometry;
        Window[] windowsBefore = windows;
        geometry = wanted;
        windows = new Window[0];
        try {
            laid().forEach(this::write);
        } catch (Throwable e) {
            geometry = before;
            back(windowsBefore);
            stale(e);
            throw e;
        }
    }

    private void setWindows(int count) {
        idle("window count");
        int max = driver.capabilities().maxWindows();
        if (geometry.size() == 0) {
            throw new ErrnoException(Errno.EINVAL, "%d windows of what? Set the geometry first", count);
        }
        if (count < 1 || count > max || Integer.bitCount(count) != 1) {
            throw new ErrnoException(Errno.EINVAL, "window count %d must be a power of two in 1..%d", count, max);
        }
        if (geometry.size() / count < PAGE) {
            throw new ErrnoException(Errno.EINVAL, "%d windows of an aperture of 0x%x bytes are smaller than 0x1000",
                count, geometry.size());
        }
        Window[] fresh = new Window[count];
        Arrays.fill(fresh, Window.NONE);
        int[] ranges = laid().stream().mapToInt(member -> member.first).toArray();
        tables.exchange(ranges, secondaries(windows.length), secondaries(count));
        int i = 0;
        for (Member member : laid()) {
            member.first = ranges[i++];
        }
        Window[] before = windows;
        windows = fresh;
        try {
            laid().forEach(this::write);
        } catch (Throwable e) {
            back(before);
            stale(e);
            throw e;
        }
    }

    /** The window count is what it was; unset, if others have taken the entries meanwhile. */
    private void back(Window[] before) {
        for (Member member : laid()) {
            tables.give(member.first, secondaries(windows.length));
            member.first = NONE;
        }
        windows = before;
        for (Member member : laid()) {
            member.first = tables.take(secondaries(before.length));
        }
        if (laid().stream().anyMatch(member -> member.first < 0)) {
            for (Member member : laid()) {
                if (member.first >= 0) {
                    tables.give(member.first, secondaries(before.length));
                }
                member.first = 0;
            }
            windows = new Window[0];
        }
    }

    private void setEnable(boolean on) {
        boolean before = enabled;
        List<Member> tripped = laid().stream().filter(member -> member.tripped).toList();
        try {
            enabled = on;
            for (Member member : laid()) {
                if (on) {
                    driver.collect(member.liodn, ", before Enable");
                    synchronized (tables.primaries) {
                        member.tripped = false;
                    }
                }
                gate(member);
            }
            if (on) {
                driver.unmute();
            } else {
                sync();
            }
        } catch (Throwable e) {
            enabled = before;
            synchronized (tables.primaries) {
                tripped.forEach(member -> member.tripped = true);
            }
            stale(e);
            throw e;
        }
    }

    private void setStash(Stash wanted) {
        int id = StashTarget.find(driver.machine(), wanted);
        int before = cache;
        try {
            cache = id;
            for (Member member : laid()) {
                for (int i = 0; i < windows.length; i++) {
                    tables.pair(entry(member, i), Paace.ATTRIBUTES, attributes(i));
                }
            }
        } catch (Throwable e) {
            cache = before;
            stale(e);
            throw e;
        }
        stash = wanted;
    }

    /** @param buffer what is mapped; null if it is nobody's memory */
    private synchronized void map(long iova, long length, int access, DmaBuffer buffer, Memory memory) {
        alive();
        mend();
        if (windows.length == 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x: set the geometry, then the windows, before mapping",
                iova, length);
        }
        long size = windowSize();
        long offset = iova - geometry.start();
        if (!geometry.contains(iova) || length > geometry.size() - offset) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x does not lie in the %s", iova, length, geometry);
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
            if (windows[first + i].mapped()) {
                throw new ErrnoException(Errno.EEXIST, "window %d at iova 0x%x is mapped to 0x%x+0x%x; unmap it first",
                    first + i, iova + i * size, windows[first + i].physical, windows[first + i].size);
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
            System.arraycopy(fresh, 0, windows, first, count);
            mapped += count;
            for (Member member : laid()) {
                // Window 0 last: its entry is the one that gates.
                for (int i = first + count - 1; i >= Math.max(first, 1); i--) {
                    write(member, i);
                }
                if (first == 0) {
                    write(member, 0);
                } else if (mapped == count) {
                    gate(member);
                }
            }
        } catch (Throwable e) {
            if (buffer != null) {
                held.add(buffer);
            }
            Arrays.fill(windows, first, first + count, Window.NONE);
            mapped = count(windows);
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
            if (mapped == 0 || gone.get(0)) {
                gate(member);
            }
            for (int i = gone.nextSetBit(1); i > 0; i = gone.nextSetBit(i + 1)) {
                tables.pair(entry(member, i), Paace.ADDRESS, Paace.secondary(member.liodn, 0, false));
            }
        }
        sync();
        for (Member member : laid()) {
            for (int i = gone.nextSetBit(0); i >= 0; i = gone.nextSetBit(i + 1)) {
                tables.pair(entry(member, i), Paace.TRANSLATED, translated(i));
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
            clear(member);
            leaving.remove(leaving.size() - 1);
            boolean drafted = members.isEmpty() && leaving.isEmpty() && !closed;
            if (drafted) {
                draft.first = member.first;
            } else if (member.first >= 0) {
                tables.give(member.first, secondaries(windows.length));
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
            for (int i = Math.max(1, windows.length) - 1; i >= 0; i--) {
                int window = i;
                if (!says(member, i, Paace.ATTRIBUTES, Paace.INDEX)) {
                    anew.add(() -> write(member, window));
                    down(member, i);
                    wait = true;
                } else if (!says(member, i, Paace.ADDRESS, Paace.ADDRESS)) {
                    wait |= (tables.first(entry(member, i)) & ~pair(member, i, Paace.ADDRESS) & OPENS) != 0;
                    address(member, i);
                }
            }
        }
        if (wait) {
            sync();
        }
        anew.forEach(Runnable::run);
    }

    private void down(Member member, int i) {
        long entry = entry(member, i);
        synchronized (tables.primaries) {
            tables.pair(entry, Paace.ADDRESS, tables.first(entry) & ~Paace.VALID);
        }
    }

    private boolean says(Member member, int i, int from, int to) {
        synchronized (tables.primaries) {
            for (int offset = from; offset <= to; offset += 8) {
                if (tables.pair(entry(member, i), offset) != pair(member, i, offset)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** {@return what a pair of words of an entry should be} */
    private long pair(Member member, int i, int offset) {
        if (windows.length == 0) {
            return 0;
        }
        return switch (offset) {
            case Paace.ADDRESS ->
            i == 0 ? primary(member) : Paace.secondary(member.liodn, windows[i].access, windows[i].mapped());
            case Paace.ATTRIBUTES -> attributes(i);
            case Paace.TRANSLATED -> translated(i);
            default -> i == 0 && windows.length > 1 ? Paace.index(member.first) : 0;
        };
    }

    private static int count(Window[] windows) {
        return (int) Arrays.stream(windows).filter(Window::mapped).count();
    }

    private void clear(Member member) {
        for (int i = 0; i < (member.first < 0 ? 1 : Math.max(1, windows.length)); i++) {
            clear(entry(member, i));
        }
    }

    private void clear(long entry) {
        synchronized (tables.primaries) {
            for (int offset = Paace.ADDRESS; offset <= Paace.INDEX; offset += 8) {
                tables.pair(entry, offset, 0);
            }
        }
    }

    /** {@return whose entries lie in memory: every requester's or, while there is none, the draft's} */
    private Collection<Member> laid() {
        return members.isEmpty() ? List.of(draft) : members.values();
    }

    /**
     * Makes the draft's entries a requester's, word by word as they lie in memory: what was read back is what it gets.
     * Only the LIODN in the secondary entries is another one, and V of its primary entry comes last.
     */
    private void takeOver(Member member) {
        member.first = draft.first;
        for (int i = 1; i < windows.length; i++) {
            long entry = entry(member, i);
            int word1 = (int) tables.first(entry);
            tables.pair(entry, Paace.ADDRESS,
                Paace.secondary(member.liodn, Paace.access(word1), (word1 & Paace.VALID) != 0));
        }
        long from = tables.primary(draft.liodn);
        long to = tables.primary(member.liodn);
        synchronized (tables.primaries) {
            for (int offset = Paace.INDEX; offset >= Paace.ADDRESS; offset -= 8) {
                tables.pair(to, offset, tables.pair(from, offset));
            }
        }
        clear(from);
        draft.first = NONE;
    }

    /** All of a requester's entries, window 0 last. V is 0 before. */
    private void write(Member member) {
        for (int i = Math.max(1, windows.length) - 1; i >= 0; i--) {
            write(member, i);
        }
    }

    /** One window's entry; the pair with V, or for window 0 with AP, comes last. */
    private void write(Member member, int i) {
        long entry = entry(member, i);
        for (int offset = Paace.INDEX; offset > Paace.ADDRESS; offset -= 8) {
            tables.pair(entry, offset, pair(member, i, offset));
        }
        address(member, i);
    }

    private void address(Member member, int i) {
        if (i == 0) {
            gate(member);
        } else {
            tables.pair(entry(member, i), Paace.ADDRESS, pair(member, i, Paace.ADDRESS));
        }
    }

    /** The pair of the primary entry that opens and closes the aperture, and window 0 with it. */
    private void gate(Member member) {
        synchronized (tables.primaries) {
            tables.pair(tables.primary(member.liodn), Paace.ADDRESS, pair(member, 0, Paace.ADDRESS));
        }
    }

    private long primary(Member member) {
        // PAMU: an entry with one window has no SWSE; a smaller mapping shrinks the aperture itself.
        long size = windows.length == 1 && windows[0].mapped() ? windows[0].size : geometry.size();
        return Paace.primary(geometry.start(), size, windows.length > 1, windows[0].access,
            enabled && mapped > 0 && !member.tripped);
    }

    private long translated(int i) {
        long effective = windows[i].mapped() ? windows[i].size : windowSize();
        return Paace.translated(windows[i].physical, windows.length == 1 ? 0 : effective);
    }

    private long attributes(int i) {
        return Paace.attributes(cache, i == 0 ? windows.length : 1);
    }

    private long entry(Member member, int i) {
        return i == 0 ? tables.primary(member.liodn) : tables.secondary(member.first + i - 1);
    }

    private long windowSize() {
        return geometry.size() / windows.length;
    }

    private void alive() {
        if (closed) {
            throw PamuDriver.gone();
        }
    }

    private void idle(String what) {
        if (mapped > 0) {
            throw new ErrnoException(Errno.EBUSY, "the %s cannot change while %d of %d windows are mapped; unmap first",
                what, mapped, windows.length);
        }
    }

    private static int secondaries(int windows) {
        return Math.max(0, windows - 1);
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
