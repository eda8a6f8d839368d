// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import vfio.api.Mapping;

/**
 * The container's user: maps and unmaps slots that a device keeps writing to. Memory must not change any more after its
 * unmap has returned. Operations are atomic: one that throws EAGAIN has changed nothing.
 */
final class Churner extends Worker implements AutoCloseable {
    private static final int PAGE = 4096;
    private static final long NAP_NANOS = 300_000;

    private final Tenant tenant;
    private final DmaBuffer[] buffers;
    /** The memory mapped in each slot; null if there is none. */
    private final Piece[] mapped;

    private record Piece(long iova, int offset, int length) {
    }

    Churner(Tenant tenant, DmaMemory memory, String name, Referee referee, SplittableRandom random) {
        super("churner " + name, referee, random);
        this.tenant = tenant;
        Layout layout = tenant.layout();
        this.buffers = new DmaBuffer[layout.churn()];
        this.mapped = new Piece[layout.churn()];
        for (int i = 0; i < buffers.length; i++) {
            boolean scattered = !tenant.windowed() && i % 2 == 0;
            buffers[i] = memory.allocate(layout.span(), layout.span(),
                scattered ? DmaMemory.Layout.SCATTERED : DmaMemory.Layout.CONTIGUOUS);
            Guard.fill(buffers[i], 0, layout.span());
        }
    }

    @Override
    void turn() {
        int slot = random.nextInt(mapped.length);
        if (mapped[slot] == null) {
            expectUntouched(slot);
            map(slot);
        } else {
            unmap(slot);
        }
        if (random.nextInt(4) == 0) {
            compareLedger();
            compareTables(random.nextInt(mapped.length));
        }
        LockSupport.parkNanos(random.nextLong(NAP_NANOS));
    }

    @Override
    void finish() {
        for (int slot = 0; slot < mapped.length; slot++) {
            if (mapped[slot] != null) {
                unmap(slot);
            }
            expectUntouched(slot);
        }
        compareLedger();
        IntStream.range(0, mapped.length).forEach(this::compareTables);
    }

    private void map(int slot) {
        Layout layout = tenant.layout();
        // A window takes a power of two at its start; a page table anything.
        int length = tenant.windowed() ? PAGE << random.nextInt(Integer.numberOfTrailingZeros(layout.span() / PAGE) + 1)
            : PAGE * (1 + random.nextInt(layout.span() / PAGE));
        int offset = tenant.windowed() ? length * random.nextInt(layout.span() / length)
            : PAGE * random.nextInt((layout.span() - length) / PAGE + 1);
        Piece piece = new Piece(layout.iova(layout.firstChurn() + slot), offset, length);
        referee.maps.increment();
        try {
            tenant.container().map(piece.iova, buffers[slot], offset, length, Access.READ_WRITE);
            mapped[slot] = piece;
            expectTranslated(slot);
        } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
            notNow(e);
            compareTables(slot);
        }
    }

    private void unmap(int slot) {
        Piece piece = mapped[slot];
        referee.maps.increment();
        try {
            long bytes = tenant.container().unmap(piece.iova, piece.length);
            if (bytes != piece.length) {
                referee.fail("%s: unmap of 0x%x+0x%x took 0x%x bytes away", name(), piece.iova, piece.length, bytes);
            }
            mapped[slot] = null;
            Guard.fill(buffers[slot], 0, tenant.layout().span());
        } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
            notNow(e);
            compareTables(slot);
        }
    }

    /** A refusal that is documented for the time of a swap, or that a provider was made to throw. */
    private void notNow(Throwable e) {
        if (e instanceof ErrnoException known && known.errno() == Errno.EAGAIN || FaultyIommu.injected(e)) {
            referee.againLater.increment();
        } else {
            referee.fail(name(), e);
        }
    }

    private void expectTranslated(int slot) {
        Piece piece = mapped[slot];
        long there = tenant.container().lookup(piece.iova + piece.length - 1, Access.READ);
        long expected = buffers[slot].physical(piece.offset + piece.length - 1);
        // Everything may be blocked by now.
        if (there != expected && there != Refusal.BLOCKED) {
            referee.fail("%s: iova 0x%x was mapped to physical 0x%x and leads to %s", name(),
                piece.iova + piece.length - 1, expected,
                there < 0 ? Refusal.name(there) : String.format("0x%x", there));
        }
    }

    /** Since unmap has returned, no device can have written here. */
    private void expectUntouched(int slot) {
        long changed = Guard.changed(buffers[slot], 0, tenant.layout().span());
        if (changed > 0) {
            referee.strayWrites.add(changed);
            referee.fail("%s: %d bytes of memory that was unmapped from iova 0x%x have changed", name(), changed,
                tenant.layout().iova(tenant.layout().firstChurn() + slot));
            Guard.fill(buffers[slot], 0, tenant.layout().span());
        }
    }

    private void compareLedger() {
        Layout layout = tenant.layout();
        List<Mapping> found = tenant.container().mappings().stream()
            .filter(mapping -> layout.churn(layout.slot(mapping.iova()))).toList();
        List<Piece> there = found.stream().map(one -> new Piece(one.iova(), (int) one.offset(), (int) one.length()))
            .toList();
        List<Piece> expected = Arrays.stream(mapped).filter(piece -> piece != null).toList();
        if (!there.equals(expected)) {
            referee.fail("%s: the ledger says %s and not %s", name(), there, expected);
        }
    }

    /**
     * Checks that the tables agree with the ledger: mapped parts of a slot are translated, others are not. Each piece
     * begins with its slot.
     */
    private void compareTables(int slot) {
        Layout layout = tenant.layout();
        long iova = layout.iova(layout.firstChurn() + slot);
        try {
            if (mapped[slot] != null) {
                expectTranslated(slot);
                return;
            }
            long there = tenant.container().lookup(iova, Access.READ);
            if (there >= 0) {
                referee.fail("%s: nothing is mapped at iova 0x%x, and the tables lead to 0x%x", name(), iova, there);
            }
        } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
            notNow(e);
        }
    }

    /** Gives the memory back. */
    @Override
    public void close() {
        for (DmaBuffer buffer : buffers) {
            buffer.close();
        }
    }
}
