// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Geometry;
import iommu.pamu.table.Paace;
import java.util.Arrays;
import machine.api.Access;

/**
 * What a domain's entries in the PPAACT and the SPAACT say: the aperture and its windows, as words, and the writing of
 * them in an order that opens nothing before its time. Guarded by the domain, which decides what they are to say.
 */
final class DomainEntries {
    /** Bits of words 0 and 1 that let through. */
    static final long OPENS = Paace.primary(0, 2, false, Access.READ_WRITE, true);

    /** The memory behind a window. */
    record Window(long physical, long size, int access) {
        static final Window NONE = new Window(0, 0, 0);

        boolean mapped() {
            return size != 0;
        }
    }

    Geometry geometry = new Geometry(0, 0);
    Window[] windows = {};
    /** How many windows are mapped. */
    int mapped;
    boolean enabled = true;
    /** Id of the cache that writes go to, see {@link StashTarget}. */
    int cache;
    private final PamuTables tables;

    DomainEntries(PamuTables tables) {
        this.tables = tables;
    }

    /** {@return how many SPAACT entries a requester takes} */
    int secondaries() {
        return secondaries(windows.length);
    }

    /** {@return how many SPAACT entries so many windows take} */
    static int secondaries(int windows) {
        return Math.max(0, windows - 1);
    }

    /** Counts what is mapped anew. */
    void count() {
        mapped = (int) Arrays.stream(windows).filter(Window::mapped).count();
    }

    /** Clears V of one window, and nothing else. */
    void down(Member member, int i) {
        long entry = entry(member, i);
        synchronized (tables.primaries) {
            tables.pair(entry, Paace.ADDRESS, tables.first(entry) & ~Paace.VALID);
        }
    }

    /** {@return whether those pairs of words of an entry are what they should be} */
    boolean says(Member member, int i, int from, int to) {
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
    long pair(Member member, int i, int offset) {
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

    /** Zeroes all of a requester's entries. */
    void clear(Member member) {
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

    /**
     * Makes the draft's entries a requester's, word by word as they lie in memory: what was read back is what it gets.
     * Only the LIODN in the secondary entries is another one, and V of its primary entry comes last.
     */
    void takeOver(Member draft, Member member) {
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
        draft.first = Member.NONE;
    }

    /** All of a requester's entries, window 0 last. V is 0 before. */
    void write(Member member) {
        for (int i = Math.max(1, windows.length) - 1; i >= 0; i--) {
            write(member, i);
        }
    }

    /** One window's entry; the pair with V, or for window 0 with AP, comes last. */
    void write(Member member, int i) {
        long entry = entry(member, i);
        for (int offset = Paace.INDEX; offset > Paace.ADDRESS; offset -= 8) {
            tables.pair(entry, offset, pair(member, i, offset));
        }
        address(member, i);
    }

    void address(Member member, int i) {
        if (i == 0) {
            gate(member);
        } else {
            tables.pair(entry(member, i), Paace.ADDRESS, pair(member, i, Paace.ADDRESS));
        }
    }

    /** The pair of the primary entry that opens and closes the aperture, and window 0 with it. */
    void gate(Member member) {
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

    long translated(int i) {
        long effective = windows[i].mapped() ? windows[i].size : windowSize();
        return Paace.translated(windows[i].physical, windows.length == 1 ? 0 : effective);
    }

    long attributes(int i) {
        return Paace.attributes(cache, i == 0 ? windows.length : 1);
    }

    long entry(Member member, int i) {
        return i == 0 ? tables.primary(member.liodn) : tables.secondary(member.first + i - 1);
    }

    long windowSize() {
        return geometry.size() / windows.length;
    }
}
