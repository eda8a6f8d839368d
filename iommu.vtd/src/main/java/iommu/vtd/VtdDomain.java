// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.DomainAttribute;
import iommu.api.IommuDomain;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Requester;

/**
 * One set of page tables and the requesters under it. Made by {@link VtdDriver#open}. Thread-safe: one lock per domain.
 *
 * <p>If the hardware does not confirm an invalidation, the tables already say the new, the method throws EIO or
 * ETIMEDOUT, and the memory concerned must not be used again until a later unmap or the close succeeds; the freed
 * tables are kept until then, and the memory of a mapping that came to nothing. The same holds while an access of a
 * requester of this domain does not end; a requester that cannot be detached for that reason stays attached.
 *
 * <p>A close that throws has taken every requester's context entry away. The domain is good for nothing but to be
 * closed once more, and its tables stay out of the pool until that succeeds.
 */
final class VtdDomain implements IommuDomain {
    private static final long PAGE = 4096;
    /** Behind the reason of a fault record. */
    private static final String LEFT = ", under a domain it has left";

    private final VtdDriver driver;
    private final Bus bus;
    private final PageTables tables;
    private final long last;
    private final Set<Source> sources = new HashSet<>();
    private final Map<Drhd, Integer> ids = new HashMap<>();
    /** Units that may have cached entries of these tables. */
    private final Set<Drhd> touched = new HashSet<>();
    /** Requesters that may have an access under way which was translated by these tables. */
    private final Set<Source> inside = new HashSet<>();
    private final ArrayList<PageTables.Unmapped> unconfirmed = new ArrayList<>();
    private Superpages superpages;
    /** Nobody is attached and nobody will be. */
    private boolean closed;
    private volatile boolean unconfirmedEnd;
    /** The memory has gone back. */
    private boolean released;

    /** @param last highest address that can be mapped */
    VtdDomain(VtdDriver driver, Machine machine, PageTables tables, long last, Superpages superpages) {
        this.driver = driver;
        this.bus = machine.bus();
        this.tables = tables;
        this.last = last;
        this.superpages = superpages;
    }

    /**
     * {@inheritDoc}
     *
     * @throws ErrnoException also EINVAL if the unit the requester sits behind does not walk tables of this domain's
     *     depth
     */
    @Override
    public synchronized void attach(Requester requester) {
        usable();
        Source source = driver.source(requester);
        Drhd unit = source.unit();
        if (!unit.capabilities().walks(tables.levels())) {
            throw new ErrnoException(Errno.EINVAL,
                "%s, where requester 0x%x sits, does not walk this domain's %d levels (SAGAW 0x%x); "
                + "configure levels that all units walk", unit.path(), source.id(), tables.levels(),
                unit.capabilities().widths());
        }
        driver.claim(source, this);
        Integer known = ids.get(unit);
        int id = -1;
        try {
            id = known != null ? known : unit.takeDomainId();
            // If this is refused the unit has cached nothing of these tables.
            unit.settle();
            touched.add(unit);
            ids.put(unit, id);
            sources.add(source);
            inside.add(source);
            unit.present(source.id(), tables, id);
        } catch (Throwable e) {
            sources.remove(source);
            if (id >= 0 && known == null) {
                ids.remove(unit);
                unit.giveDomainId(id);
            }
            driver.release(source);
            throw e;
        }
    }

    @Override
    public synchronized void detach(Requester requester) {
        Source source = sources.stream()
            .filter(each -> each.id() == requester.id() && each.unit().path().equals(requester.unit())).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "requester 0x%x of %s is not attached to this domain",
                requester.id(), requester.unit()));
        Drhd unit = source.unit();
        unit.absent(ids.get(unit), source.id());
        try {
            bus.sync(Set.of(source.id()));
        } catch (Throwable e) {
            try {
                unit.present(source.id(), tables, ids.get(unit));
            } catch (Throwable again) {
                Failures.add(e, again);
            }
            throw e;
        }
        unit.collect(LEFT, source.id());
        inside.remove(source);
        sources.remove(source);
        if (sources.stream().noneMatch(each -> each.unit() == unit)) {
            unit.giveDomainId(ids.remove(unit));
        }
        driver.release(source);
    }

    @Override
    public synchronized void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
        usable();
        check(iova, length, access);
        if ((offset & PAGE - 1) != 0 || offset < 0 || offset > buffer.size() - length) {
            throw new ErrnoException(Errno.EINVAL,
                "0x%x bytes at offset 0x%x of a buffer of 0x%x bytes: give whole 4 KiB pages inside it",
                length, offset, buffer.size());
        }
        add(iova, length, buffer, () -> {
            long at = iova;
            long skip = offset;
            long left = length;
            for (DmaBuffer.Extent extent : buffer.extents()) {
                if (left == 0) {
                    break;
                }
                long piece = Math.min(left, extent.length() - skip);
                if (piece <= 0) {
                    skip -= extent.length();
                    continue;
                }
                enter(at, extent.physical() + skip, piece, access);
                at += piece;
                left -= piece;
                skip = 0;
            }
        });
    }

    /**
     * {@inheritDoc}
     *
     * @throws ErrnoException also EINVAL for a doorbell at 0xfeexxxxx: the unit refuses translations into that range,
     *     and a device reaches it without one
     */
    @Override
    public synchronized void mapDoorbell(long iova, long physical, long length) {
        usable();
        check(iova, length, Access.WRITE);
        if (physical < 0 || physical > (1L << 52) - length || (physical & PAGE - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "doorbell 0x%x+0x%x: give a 4 KiB page below 2^52", physical,
                length);
        }
        if (physical <= VtdRegisters.INTERRUPTS_END && physical + length > VtdRegisters.INTERRUPTS) {
            throw new ErrnoException(Errno.EINVAL,
                "doorbell 0x%x lies in the interrupt range 0x%x..0x%x, which is reached untranslated; "
                + "use it as it is", physical, VtdRegisters.INTERRUPTS, VtdRegisters.INTERRUPTS_END);
        }
        add(iova, length, null, () -> enter(iova, physical, length, Access.WRITE));
    }

    @Override
    public synchronized long unmap(long iova, long length) {
        usable();
        if (length <= 0 || ((iova | length) & PAGE - 1) != 0 || iova < 0 || iova + length - 1 < 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x: give whole 4 KiB pages", iova, length);
        }
        long end = Math.min(last, iova + length - 1);
        long removed = 0;
        if (iova <= end) {
            long cut = superpages.split() ? -1 : tables.cut(iova, end);
            if (cut >= 0) {
                throw new ErrnoException(Errno.EINVAL,
                    "iova 0x%x+0x%x cuts the superpage at 0x%x; unmap all of it or allow splitting",
                    iova, length, cut);
            }
            PageTables.Unmapped removal = prepare();
            try {
                tables.remove(iova, end, removal);
            } finally {
                if (removal.changed()) {
                    unconfirmed.add(removal);
                }
            }
            removed = removal.bytes;
        }
        if (!unconfirmed.isEmpty()) {
            confirm();
        }
        return removed;
    }

    @Override
    public synchronized long lookup(long iova, int access) {
        usable();
        return tables.lookup(iova, access);
    }

    /** This type has {@link Superpages}. */
    @Override
    public synchronized void set(DomainAttribute attribute) {
        usable();
        if (!(attribute instanceof Superpages value)) {
            throw new ErrnoException(Errno.ENOTTY, "%s is not an attribute of VT-d (%s); it has Superpages",
                attribute.getClass().getSimpleName(), attribute);
        }
        superpages = value;
    }

    @Override
    public synchronized <A extends DomainAttribute> A get(Class<A> attribute) {
        if (attribute != Superpages.class) {
            throw new ErrnoException(Errno.ENOTTY, "%s is not an attribute of VT-d; it has Superpages",
                attribute.getSimpleName());
        }
        return attribute.cast(superpages);
    }

    @Override
    public synchronized void close() {
        if (released) {
            return;
        }
        closed = true;
        Map<Drhd, int[]> leaving = new HashMap<>();
        for (Drhd unit : ids.keySet()) {
            leaving.put(unit, sources.stream().filter(each -> each.unit() == unit).mapToInt(Source::id).toArray());
        }
        Throwable failure = null;
        for (Map.Entry<Drhd, int[]> each : leaving.entrySet()) {
            try {
                each.getKey().absent(ids.get(each.getKey()), each.getValue());
            } catch (Throwable e) {
                failure = Failures.add(failure, e);
            }
        }
        // A unit that is in doubt lets nobody through before it has forgotten these, so they may be taken by others.
        ids.forEach(Drhd::giveDomainId);
        ids.clear();
        sources.forEach(driver::release);
        sources.clear();
        try {
            touched.forEach(Drhd::settle);
            bus.sync(insideIds());
            leaving.forEach((unit, left) -> unit.collect(LEFT, left));
        } catch (Throwable e) {
            unconfirmedEnd = true;
            Failures.end(Failures.add(failure, e));
        }
        // Whatever was thrown before, every unit has now confirmed that it knows nothing of all this.
        unconfirmedEnd = false;
        released = true;
        unconfirmed.forEach(PageTables.Unmapped::release);
        unconfirmed.clear();
        tables.release();
        driver.closed(this);
    }

    /** {@return whether it has been closed, and waits for that to be confirmed} */
    boolean unconfirmedEnd() {
        return unconfirmedEnd;
    }

    private void usable() {
        if (closed) {
            throw new ErrnoException(Errno.ENODEV, "this domain is closed; open another");
        }
    }

    private void check(long iova, long length, int access) {
        if ((access & Access.READ_WRITE) == 0 || (access & ~Access.READ_WRITE) != 0) {
            throw new ErrnoException(Errno.EINVAL, "access 0x%x: give read, write or both", access);
        }
        if (length <= 0 || ((iova | length) & PAGE - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x: give whole 4 KiB pages", iova, length);
        }
        if (iova < 0 || iova > last || length - 1 > last - iova) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x is outside the aperture 0..0x%x", iova, length,
                last);
        }
        if (iova <= VtdRegisters.INTERRUPTS_END && iova + length > VtdRegisters.INTERRUPTS) {
            throw new ErrnoException(Errno.EINVAL,
                "iova 0x%x+0x%x touches the interrupt range 0x%x..0x%x, which is never translated",
                iova, length, VtdRegisters.INTERRUPTS, VtdRegisters.INTERRUPTS_END);
        }
        if (tables.mapped(iova, iova + length - 1)) {
            throw new ErrnoException(Errno.EEXIST, "some of iova 0x%x+0x%x is mapped; unmap it first", iova, length);
        }
    }

    /** {@return what the bus waits for: ids alone, so for a namesake behind another unit, too} */
    private Set<Integer> insideIds() {
        return inside.stream().map(Source::id).collect(Collectors.toSet());
    }

    private void enter(long iova, long physical, long length, int access) {
        if ((physical & PAGE - 1) != 0) {
            throw new ErrnoException(Errno.EFAULT, "memory at 0x%x does not begin at a 4 KiB page", physical);
        }
        tables.enter(iova, physical, length, access, superpages.used());
    }

    /**
     * All or nothing. If it comes to nothing the units may have seen some of it, so the memory is held until they have
     * confirmed that they forgot.
     *
     * @param memory what is mapped; null if it is nobody's
     */
    private void add(long iova, long length, DmaBuffer memory, Runnable entering) {
        PageTables.Unmapped undone = prepare();
        if (memory != null) {
            memory.retain();
            undone.held = memory;
        }
        try {
            entering.run();
            ids.forEach((unit, id) -> unit.added(id, iova, iova + length - 1));
        } catch (Throwable e) {
            undone.due(iova, iova + length - 1);
            unconfirmed.add(undone);
            try {
                confirm();
            } catch (Throwable worse) {
                Failures.add(e, worse);
            }
            throw e;
        }
        undone.release();
    }

    /** {@return a record of what is going to be taken away, and there is room to keep it} */
    private PageTables.Unmapped prepare() {
        unconfirmed.ensureCapacity(unconfirmed.size() + 1);
        return new PageTables.Unmapped();
    }

    /** Makes every unit forget what is unconfirmed, waits for what is in flight, and only then gives it back. */
    private void confirm() {
        for (PageTables.Unmapped each : unconfirmed) {
            if (each.isDue()) {
                tables.remove(each);
            }
        }
        PageTables.Unmapped only = unconfirmed.size() == 1 && unconfirmed.get(0).last >= 0 ? unconfirmed.get(0) : null;
        touched.forEach(Drhd::settle);
        ids.forEach((unit, id) -> {
            if (only == null) {
                unit.forget(id);
            } else {
                unit.removed(id, only.first, only.last, only.leaves());
            }
        });
        if (!touched.isEmpty()) {
            // No other domain's devices can delay this.
            bus.sync(insideIds());
        }
        unconfirmed.forEach(PageTables.Unmapped::release);
        unconfirmed.clear();
    }
}
