// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import java.util.Set;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The machine's physical address space, memory and register windows, as a core reaches it. What a device does goes to
 * the same memory and the same windows, and not through here: its {@link DmaPort} has asked a {@link TranslationUnit}
 * before.
 *
 * <p>Drivers use it with {@link #CPU} as requester; a unit that passes on what a device wrote, as VT-d's interrupt
 * remapping does, with that device's. Values are little-endian (see the package page). A naturally aligned access of 2,
 * 4 or 8 bytes is atomic; a write is a release and a read an acquire, so a table entry's valid bit written last
 * publishes the words written before it.
 *
 * <p>Thread-safe and lock-free.
 */
@ProviderType
public interface Bus {
    /** Success, where {@link Refusal} would be the failure. */
    int OK = 0;
    /** The requester id of the cores themselves: no device has it. */
    int CPU = -1;

    /**
     * Reads 1, 2, 4 or 8 bytes.
     *
     * @param physical physical address
     * @param size 1, 2, 4 or 8
     * @return the value, zero-extended; all ones (of that size) where nothing answers, as on a real bus
     */
    long read(long physical, int size);

    /**
     * Writes 1, 2, 4 or 8 bytes.
     *
     * @param requester who writes: a requester id, or {@link #CPU}. Doorbells that verify their source look at it
     * @param physical physical address
     * @param size 1, 2, 4 or 8
     * @param value the low {@code size} bytes are written
     * @return {@link #OK} or {@link Refusal#NO_TARGET}
     * @throws ErrnoException ENOMEM where memory is written to for the first time and the host has none left; nothing
     *     is written then
     */
    int write(int requester, long physical, int size, long value);

    /** As {@link #write(int, long, int, long)} by {@link #CPU}. */
    default int write(long physical, int size, long value) {
        return write(CPU, physical, size, value);
    }

    /**
     * Reads a block. Register windows are read in naturally aligned pieces of at most 4 bytes.
     *
     * @return {@link #OK}, or {@link Refusal#NO_TARGET} when some byte has no target: those bytes are 0xff, the others
     *     read
     */
    int read(long physical, byte[] to, int offset, int length);

    /**
     * Writes a block. Register windows are written in naturally aligned pieces of at most 4 bytes, upwards.
     *
     * @return {@link #OK}, or {@link Refusal#NO_TARGET} when some byte has no target: it is dropped, the others are
     *     written
     * @throws ErrnoException ENOMEM as the other; what lies before the memory that is not there is written
     */
    int write(int requester, long physical, byte[] from, int offset, int length);

    /**
     * Waits until every device access that had begun when this was called has left the machine. What a driver calls
     * after it has taken a translation away and before it says so: PowerPC's {@code sync}, VT-d's drain. Accesses that
     * begin later do not delay it.
     *
     * <p>An access that does not end, because a {@link FaultListener}, an {@link Mmio} or an interrupt handler inside
     * it does not return, is named in a warning after a second. Who has only some requesters' translations to take away
     * waits for those alone, with {@link #sync(Set)}.
     *
     * <p>Must not be called from inside an access, that is by an {@link Mmio}, an interrupt handler or a
     * {@link FaultListener}: it would wait for itself.
     *
     * @throws ErrnoException ETIMEDOUT, naming the device and where its access is, if one does not end within the bus's
     *     bound: what was taken away may still be used, so its memory must not be given back before a later call has
     *     returned
     */
    void sync();

    /**
     * As {@link #sync()}, but for the accesses of some requesters only: no other device can delay it. For a caller that
     * removes what these alone translate by.
     *
     * @param requesters their ids; not changed meanwhile
     * @throws ErrnoException as there
     */
    default void sync(Set<Integer> requesters) {
        sync();
    }

    /**
     * Listens to stores into memory, for a unit that caches its tables and is coherent, as PAMU is. Whoever stores:
     * cores, programs, devices.
     *
     * <p>A store that began before this may not be noticed, so the snoop gives no stamp until somebody has called
     * {@link #sync}, as a driver does between setting its hardware up and letting devices in. Does not wait; may be
     * called by an {@link Mmio}.
     *
     * @param ranges of physical addresses, each in one piece of memory, 16 MiB together at most
     * @return the caller closes it; {@link Snoop#NEVER} if this bus cannot hear of stores there: the unit does not
     *     cache
     */
    default Snoop snoop(List<Node.Range> ranges) {
        return Snoop.NEVER;
    }

    /**
     * Hangs a register window into the address space.
     *
     * @param physical first address
     * @param size bytes, positive
     * @return takes the window away again; idempotent
     * @throws ErrnoException EEXIST if the range touches memory or another window; EOPNOTSUPP if the bus is another
     *     process's, which takes none
     */
    Attachment attach(long physical, long size, Mmio window);
}
