// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.time.Duration;
import java.util.List;
import machine.api.Access;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.swap.Backends;
import vfio.container.host.ContainerLimits;
import vfio.container.irq.LocalEventFd;

/** An IOMMU whose smallest page is 64 KiB, and MSI banks of 4 KiB, three of which lie in one such page. */
@Timeout(30)
class LargePageTest {
    private static final long LARGE = 0x1_0000;
    /** Bank 1, in its 64 KiB. */
    private static final long WITHIN = 0x1000;
    private static final long FROM = 0x1000_0000;
    private static final long TO = 0x2000_0000;

    private final LocalEventFd heard = new LocalEventFd(0);

    private static Board board(boolean unsafe) {
        Board board = Board.type1(new ContainerLimits(65_535, ContainerLimits.UNLIMITED, unsafe, Duration.ZERO,
            Duration.ofSeconds(20)));
        board.controller.verifies = true;
        board.iommu.page = LARGE;
        return board;
    }

    private void enable(Board board) {
        board.vfio.group(1).device(board.a.name()).setIrqs(msi(heard));
    }

    private void rings(Board board, long page) {
        assertEquals(page + FakeController.OFFSET, board.a.msiAddress());
        assertEquals(0, board.a.raise());
        assertEquals(1, heard.poll());
    }

    @Test
    @DisplayName("64 KiB pages: a bank that is alone in less is refused with EPERM, naming what a device could "
        + "write to")
    void refusedByDefault() {
        Board board = board(false);
        VfioContainer container = board.container();
        assertEquals(new MsiEnvironment.Bank(1, LARGE, 0), board.manual.environment.banks().get(1));
        refused(Errno.EPERM, "0xf0001000+0x1000, and this IOMMU maps no less than 0x10000 bytes: a device of container "
            + "one could write to whatever else is in 0xf0000000+0x10000",
            () -> container.as(Msis.class).call("MAP", 1, FROM));
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(Refusal.UNMAPPED, container.lookup(FROM, Access.WRITE));
    }

    @Test
    @DisplayName("64 KiB pages, allowed: the page around the bank is mapped, its offset in there stays, and an MSI "
        + "arrives; in the middle of a page EINVAL")
    void allowed() {
        Board board = board(true);
        VfioContainer container = board.container();
        refused(Errno.EINVAL, "0x10000", () -> container.as(Msis.class).call("MAP", 1, FROM + 0x1000));
        container.as(Msis.class).call("MAP", 1, FROM);
        assertEquals(List.of(new MsiPlacement(1, FROM, LARGE)), container.as(Msis.class).placements());
        assertEquals(Board.BANKS, container.lookup(FROM, Access.WRITE));
        assertEquals(Refusal.DENIED, container.lookup(FROM + WITHIN, Access.READ));
        enable(board);
        rings(board, FROM + WITHIN);
        container.as(Msis.class).call("MOVE", 1, TO);
        assertEquals(Refusal.UNMAPPED, container.lookup(FROM + WITHIN, Access.WRITE));
        rings(board, TO + WITHIN);
    }

    @Test
    @DisplayName("64 KiB pages: the placement, and an MSI, stay where they are under an IOMMU with smaller pages; then "
        + "a move needs less")
    void toSmaller() {
        Board board = board(true);
        VfioContainer container = board.container();
        container.as(Msis.class).call("MAP", 1, FROM);
        enable(board);
        FakeIommu small = board.newIommu();
        board.vfio.addIommu(small, board.kind, "small", 0);
        board.acts(small);
        container.as(Backends.class).swap(board.kind);
        rings(board, FROM + WITHIN);
        container.as(Msis.class).call("MOVE", 1, TO + 0x1000);
        assertEquals(List.of(new MsiPlacement(1, TO + 0x1000, 0x1000)), container.as(Msis.class).placements());
        rings(board, TO + 0x1000);
    }

    @Test
    @DisplayName("a provider with larger pages than a bank was placed for does not fit: EINVAL, and the old one goes "
        + "on")
    void toLarger() {
        Board board = board(true);
        board.iommu.page = 0x1000;
        VfioContainer container = board.container();
        container.as(Msis.class).call("MAP", 1, FROM + 0x1000);
        enable(board);
        FakeIommu large = board.newIommu();
        large.page = LARGE;
        board.vfio.addIommu(large, board.kind, "large", 0);
        refused(Errno.EINVAL, "MSI bank 1 at iova 0x10001000+0x1000 does not fit: it maps multiples of 0x10000",
            () -> container.as(Backends.class).swap(board.kind));
        rings(board, FROM + 0x1000);
    }
}
