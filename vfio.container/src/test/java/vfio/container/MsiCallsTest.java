// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.Container;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;

/** What is refused of the operations on MSIs, and where banks and mappings meet. */
@Timeout(30)
class MsiCallsTest {
    private static final int PAGE = 0x1000;

    private final Board board = Board.pamu();

    @Test
    @DisplayName("EXPLAIN: EINVAL for a closed container and for one without an IOMMU; else every strategy is judged")
    void explain() {
        VfioContainer set = board.container();
        assertFalse(set.as(Msis.class).explain().isEmpty());
        set.close();
        refused(Errno.EINVAL, "closed", () -> set.as(Msis.class).explain());
        Container bare = board.vfio.openContainer("bare");
        refused(Errno.EINVAL, "IOMMU", () -> bare.as(Msis.class).explain());
    }

    @Test
    @DisplayName("a bank is placed on whole pages, beside mappings and never over one; a refusal names what is there")
    void place() {
        VfioContainer container = board.container();
        container.set(new Geometry(0, 16 * PAGE));
        container.set(new Windows(16));
        Msis msis = container.as(Msis.class);
        DmaBuffer memory = board.memory(PAGE);
        container.map(4 * PAGE, memory, 0, PAGE, Access.READ_WRITE);
        container.map(6 * PAGE, memory, 0, PAGE, Access.READ_WRITE);
        refused(Errno.EINVAL, "both must be multiples of 0x1000", () -> msis.call("MAP", 0, 5 * PAGE + 0x800));
        for (long taken : new long[] {4 * PAGE, 6 * PAGE}) {
            refused(Errno.EEXIST, String.format("iova 0x%x of MSI bank 0 is inside the mapping 0x%x+0x1000", taken,
                taken), () -> msis.call("MAP", 0, taken));
        }
        refused(Errno.EINVAL, "", () -> msis.call("MAP", 0, 16 * PAGE));
        assertEquals(List.of(), msis.placements());
        msis.call("MAP", 0, 5 * PAGE);
        assertEquals(List.of(new MsiPlacement(0, 5 * PAGE, PAGE)), msis.placements());
        refused(Errno.EEXIST, "", () -> container.map(5 * PAGE, memory, 0, PAGE, Access.READ_WRITE));
    }

    @Test
    @DisplayName("a group is known by its number")
    void group() {
        assertEquals(2, board.vfio.group(2).number());
        assertEquals("group 2", board.vfio.group(2).toString());
        assertTrue(board.container().groups().stream().anyMatch(group -> group.number() == 1));
    }
}
