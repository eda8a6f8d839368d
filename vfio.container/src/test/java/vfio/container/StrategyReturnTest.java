// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;

import java.util.List;
import java.util.Optional;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;
import vfio.container.irq.LocalEventFd;

/**
 * P4 for MSI banks: what a user has placed outlives the strategy that placed it, until it is back or the user chooses
 * another.
 */
@Timeout(30)
class StrategyReturnTest {
    private static final long BANK = 0x1000_0000;
    private static final long OTHER = 0x1080_0000;

    private final Board board = Board.pamu();
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final DmaBuffer memory = board.memory(8 * MB);
    private final LocalEventFd eventFd = new LocalEventFd(0);

    private List<MsiPlacement> placed() {
        container.as(Msis.class).call("MAP", 1, BANK);
        container.as(Msis.class).call("MAP", 2, OTHER);
        vfio.group(1).device("0000:01:00.0").setIrqs(msi(eventFd));
        return container.as(Msis.class).placements();
    }

    private void reaches(long iova, int bank) {
        assertEquals(board.controller.doorbells().banks().get(bank).page(), container.lookup(iova, Access.WRITE));
    }

    @Test
    @DisplayName("P4: a strategy leaves and is back: banks are where the user had placed them, meanwhile too, and "
        + "nobody was asked to do it again")
    void same() {
        List<MsiPlacement> before = placed();
        vfio.removeStrategy(board.manual);
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        assertEquals(before, container.as(Msis.class).placements());
        reaches(OTHER, 2);
        assertEquals(0, board.a.raise());
        assertEquals(0, eventFd.count(), "it waits for a vector");
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(before, container.as(Msis.class).placements());
        assertEquals("", container.reason());
        assertEquals(1, eventFd.poll());
        board.a.raise();
        assertEquals(1, eventFd.poll());
        container.as(Msis.class).call("UNMAP", OTHER);
        assertEquals(Refusal.UNMAPPED, container.lookup(OTHER, Access.WRITE));
    }

    @Test
    @DisplayName("P4: another stands in, which takes the banks away for its own; when the first is back they are "
        + "where they were")
    void standIn() {
        List<MsiPlacement> before = placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(List.of(0x0800_0000L),
            container.as(Msis.class).placements().stream().map(MsiPlacement::iova).toList());
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
        board.a.raise();
        assertEquals(1, eventFd.poll(), "nobody waits for the one that has left");
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(before, container.as(Msis.class).placements());
        reaches(BANK, 1);
        reaches(OTHER, 2);
        assertEquals(Refusal.UNMAPPED, container.lookup(0x0800_0000, Access.WRITE));
        board.a.raise();
        assertEquals(1, eventFd.poll());
        assertEquals(List.of("manual>auto", "auto>manual"),
            vfio.as(Swaps.class).latest().stream().map(one -> one.from() + '>' + one.to()).toList());
        assertTrue(vfio.as(Swaps.class).latest().stream().allMatch(Swap::done));
        assertEquals(0, board.auto.enabled, "each bank was disabled as often as enabled");
    }

    @Test
    @DisplayName("P4: the stand-in leaves, too, and both come back, the first one last: its banks are where they were")
    void both() {
        List<MsiPlacement> before = placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        vfio.removeStrategy(board.auto);
        assertEquals(List.of(), container.as(Msis.class).placements(), "what the stand-in had placed for itself");
        vfio.addStrategy(board.auto, 10);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        vfio.addStrategy(board.manual, 0);
        assertEquals(before, container.as(Msis.class).placements());
        reaches(OTHER, 2);
    }

    @Test
    @DisplayName("a stand-in that takes over the banks where they are: they stay, whoever leaves, and go back to the "
        + "first")
    void adopted() {
        List<MsiPlacement> before = placed();
        board.auto.adopts = true;
        board.auto.leaves = true;
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        reaches(BANK, 1);
        board.a.raise();
        assertEquals(1, eventFd.poll());
        vfio.removeStrategy(board.auto);
        reaches(BANK, 1);
        vfio.addStrategy(board.manual, 0);
        assertTrue(container.as(Msis.class).placements().containsAll(before),
            container.as(Msis.class).placements().toString());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("memory was mapped where a bank was: that bank is not placed again, the others are")
    void taken() {
        placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        container.map(BANK, memory, 0, 8 * MB, Access.READ_WRITE);
        vfio.addStrategy(board.manual, 0);
        assertEquals(List.of(new MsiPlacement(2, OTHER, 0x1000)), container.as(Msis.class).placements());
        assertEquals(memory.physical(0), container.lookup(BANK, Access.WRITE));
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("isolation gave a bank to another container meanwhile: that bank is not placed again, the others are")
    void isolated() {
        placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        VfioContainer two = board.container("two", 2);
        two.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        two.as(Msis.class).call("MAP", 2, BANK);
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(List.of(new MsiPlacement(1, BANK, 0x1000)), container.as(Msis.class).placements());
        assertEquals(Refusal.UNMAPPED, container.lookup(OTHER, Access.WRITE));
    }

    @Test
    @DisplayName("a strategy the user chooses, or gives an order to, is the user's: the one that left is not "
        + "expected any more")
    void chosen() {
        placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        container.as(Msis.class).strategy("auto");
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        container.as(Msis.class).strategy("");
        vfio.removeStrategy(board.auto);
        vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).call("MAP", 0, 0x1100_0000);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
    }

    @Test
    @DisplayName("the user chooses another while nobody stands in: what was placed goes, and the vector that waited "
        + "has a bank of the chosen one")
    void chosenMeanwhile() {
        placed();
        vfio.removeStrategy(board.manual);
        board.auto.feasible = false;
        vfio.addStrategy(board.auto, 10);
        board.auto.feasible = true;
        board.a.raise();
        container.as(Msis.class).strategy("auto");
        assertEquals(List.of(0x0800_0000L),
            container.as(Msis.class).placements().stream().map(MsiPlacement::iova).toList());
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
        assertEquals(1, eventFd.poll());
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
    }

    @Test
    @DisplayName("one that gives an order to the stand-in keeps it")
    void ordered() {
        placed();
        vfio.addStrategy(board.auto, 10);
        vfio.removeStrategy(board.manual);
        container.as(Msis.class).call("MAP", 2, OTHER);
        List<MsiPlacement> now = container.as(Msis.class).placements();
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(now, container.as(Msis.class).placements());
    }

    @Test
    @DisplayName("the IOMMU and the controller are away as well: all is where it was when all are back")
    void allAway() {
        List<MsiPlacement> before = placed();
        vfio.removeIommu(board.iommu);
        vfio.removeStrategy(board.manual);
        vfio.removeController(board.controller);
        assertEquals(before, container.as(Msis.class).placements());
        vfio.addStrategy(board.manual, 0);
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        vfio.addController(board.controller);
        assertEquals(before, container.as(Msis.class).placements());
        reaches(OTHER, 2);
        board.a.raise();
        assertEquals(1, eventFd.poll());
        assertEquals("", container.reason());
    }

    @Test
    @DisplayName("a strategy at work that cannot say whether it works just when the IOMMU is swapped for one of its "
        + "kind keeps its banks")
    void inDoubt() {
        List<MsiPlacement> before = placed();
        FakeIommu next = board.newIommu();
        vfio.addIommu(next, "pamu", "another", 1);
        board.acts(next);
        board.manual.mad = true;
        container.as(Backends.class).swap("pamu");
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(before, container.as(Msis.class).placements());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("a strategy that is back and cannot say whether it works returns as soon as it can: after the next "
        + "unmap, or retry")
    void later() {
        List<MsiPlacement> before = placed();
        vfio.addStrategy(board.auto, 10);
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        vfio.removeStrategy(board.manual);
        board.manual.mad = true;
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        board.manual.mad = false;
        container.unmap(0, 8 * MB);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(before, container.as(Msis.class).placements());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("a strategy that is back and does not want its banks where they were has them taken away")
    void notResumed() {
        placed();
        vfio.removeStrategy(board.manual);
        board.manual.resumes = false;
        vfio.addStrategy(board.manual, 0);
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(Refusal.UNMAPPED, container.lookup(OTHER, Access.WRITE));
        container.as(Msis.class).call("MAP", 2, OTHER);
        assertEquals("", container.reason());
    }
}
