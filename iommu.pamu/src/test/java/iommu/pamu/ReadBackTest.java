// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What a domain says of itself before anybody is attached is what lies in memory. */
class ReadBackTest {
    private static final int RW = Access.READ_WRITE;

    private final Board board = new Board();
    private final PamuDriver driver = board.driver();
    private final DmaBuffer buffer = board.machine.memory().allocate(1 << 20, 1 << 20, Layout.CONTIGUOUS);

    private IommuDomain domain(int windows) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 0x1000L * windows));
        domain.set(new Windows(windows));
        return domain;
    }

    /** Where the first domain's entry for a window lies while nobody is attached to it. */
    private long draft(int window) {
        return window == 0 ? board.register64(0, 0x00) + 64L * PamuTables.PRIMARIES
            : board.register64(0, 0x10) + 64L * (window - 1);
    }

    @Test
    @DisplayName("P4: with no LIODN attached lookup reads the entries in memory: a word that went wrong there is seen")
    void everyWordCounts() {
        IommuDomain domain = domain(4);
        domain.map(0, buffer, 0, 0x4000, RW);
        for (int window = 0; window < 4; window++) {
            long iova = 0x1000L * window + 0x123;
            assertEquals(buffer.physical(iova), domain.lookup(iova, Access.WRITE));
            int translated = board.word(draft(window) + 20);
            board.word(draft(window) + 20, translated ^ 0x8000);
            assertEquals(buffer.physical(iova) ^ 0x8000, domain.lookup(iova, Access.WRITE),
                "TWBAL of window " + window);
            board.word(draft(window) + 20, translated);
            int first = board.word(draft(window) + 4);
            board.word(draft(window) + 4, first & ~(Access.WRITE << 3));
            assertEquals(Refusal.DENIED, domain.lookup(iova, Access.WRITE), "AP of window " + window);
            board.word(draft(window) + 4, first & ~1);
            assertEquals(window == 0 ? Refusal.NO_REQUESTER : Refusal.UNMAPPED, domain.lookup(iova, Access.WRITE),
                "V of window " + window);
            board.word(draft(window) + 4, first);
        }
        board.word(draft(0) + 24, 0x7ff);
        assertEquals(Refusal.MALFORMED, domain.lookup(0x3000, Access.WRITE), "FSPI leads out of the SPAACT");
    }

    @Test
    @DisplayName("P4: the first LIODN gets the words that were read back, whatever the driver believes it has written")
    void takesOver() {
        IommuDomain domain = domain(4);
        domain.map(0, buffer, 0, 0x4000, RW);
        board.word(draft(0) + 20, board.word(draft(0) + 20) ^ 0x8000);
        board.word(draft(2) + 20, board.word(draft(2) + 20) ^ 0x8000);
        for (int window : new int[] {0, 1, 2, 3}) {
            board.word(draft(window) + 8, 0);
        }
        String[] before = {board.entry(draft(0)), board.entry(draft(1)), board.entry(draft(2)), board.entry(draft(3))};
        domain.attach(Board.at(5));
        assertEquals(before[0], board.primary(5));
        for (int window : new int[] {1, 2, 3}) {
            assertEquals(before[window].replace("0500001b", "0005001b"), board.secondary(window - 1));
        }
        assertEquals(buffer.physical(0) ^ 0x8000, board.read(5, 0));
        assertEquals(buffer.physical(0) ^ 0x8000, domain.lookup(0, Access.READ));
        assertEquals("00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000", board.entry(draft(0)));
    }

    @Test
    @DisplayName("P1: a draft is behind PPLA: who has its number as a LIODN is refused")
    void nobodyReachesDrafts() {
        IommuDomain domain = domain(4);
        domain.map(0, buffer, 0, 0x4000, RW);
        assertEquals(buffer.physical(0), domain.lookup(0, Access.READ));
        for (int window = 0; window < 4; window++) {
            assertEquals(Refusal.NO_REQUESTER, board.read(PamuTables.PRIMARIES, 0x1000L * window));
        }
        assertEquals("LAV", driver.violations().get(0).reason());
        assertThrows(ErrnoException.class, () -> domain.attach(Board.at(PamuTables.PRIMARIES)));
    }

    @Test
    @DisplayName("PAMU: a domain without a LIODN takes as many SPAACT entries as one with one; all come back, drafts "
        + "too")
    void spaceOfDrafts() {
        for (int round = 0; round < 3; round++) {
            List<IommuDomain> domains = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                domains.add(domain(256));
            }
            IommuDomain ninth = driver.open();
            ninth.set(new Geometry(0, 1L << 20));
            assertEquals(Errno.ENOSPC, assertThrows(ErrnoException.class, () -> ninth.set(new Windows(256))).errno());
            assertEquals(new Windows(0), ninth.get(Windows.class));
            for (int i = 0; i < 8; i++) {
                domains.get(i).map(0xff000, buffer, 0, 0x1000, RW);
                domains.get(i).attach(Board.at(i));
                assertEquals(buffer.physical(0), board.read(i, 0xff000));
                domains.get(i).detach(Board.at(i));
                assertEquals(Refusal.NO_REQUESTER, board.read(i, 0xff000));
                assertEquals(buffer.physical(4), domains.get(i).lookup(0xff004, Access.WRITE),
                    "the entries are the draft's again");
                domains.get(i).attach(Board.at(8 + i));
                assertEquals(buffer.physical(0), board.read(8 + i, 0xff000));
            }
            ninth.close();
            domains.forEach(IommuDomain::close);
        }
        List<IommuDomain> open = new ArrayList<>();
        for (int i = 0; i < PamuTables.DRAFTS; i++) {
            open.add(driver.open());
        }
        assertEquals(Errno.ENOSPC, assertThrows(ErrnoException.class, driver::open).errno());
        open.get(7).close();
        driver.open();
    }
}
