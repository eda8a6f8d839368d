// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.table;

import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Big-endian words over the little-endian bus: the one place of this bundle where bytes are reversed. The unit fetches
 * its tables through it and hands its register values to {@link #swap}; the driver reaches tables and registers through
 * it.
 *
 * <p>On the road below {@link machine.api.TranslationUnit#translate}: {@link #pair} comes after {@code Pamu.translate}
 * and before {@link Bus#read}. Stateless, thread-safe, lock-free, no allocation. A word and a pair are atomic; reads
 * acquire, writes release.
 */
public final class BigEndian {
    private final Bus bus;

    /** @param bus the machine's */
    public BigEndian(Bus bus) {
        this.bus = bus;
    }

    /** {@return the value with the bytes of its low 32 bits in the other order} */
    public static int swap(long lanes) {
        return Integer.reverseBytes((int) lanes);
    }

    /** {@return the word at that address, a multiple of 4; all ones where nothing answers} */
    public int word(long physical) {
        return swap(bus.read(physical, 4));
    }

    /** {@return the words at that address, a multiple of 8, and after it: the first in bits 63:32} */
    public long pair(long physical) {
        return Long.reverseBytes(bus.read(physical, 8));
    }

    /**
     * Writes one word.
     *
     * @throws ErrnoException EIO if nothing answers there
     */
    public void word(long physical, int value) {
        check(physical, bus.write(physical, 4, swap(value) & 0xffff_ffffL));
    }

    /**
     * Writes two words at once, the first from bits 63:32.
     *
     * @throws ErrnoException EIO if nothing answers there
     */
    public void pair(long physical, long value) {
        check(physical, bus.write(physical, 8, Long.reverseBytes(value)));
    }

    private static void check(long physical, int status) {
        if (status != Bus.OK) {
            throw new ErrnoException(Errno.EIO,
                "nothing answers at physical 0x%x; is the unit attached and its table memory?",
                physical);
        }
    }
}
