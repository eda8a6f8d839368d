// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import iommu.api.Geometry;
import iommu.api.ReservedRegion;
import java.util.List;
import machine.api.Access;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.container.irq.LocalEventFd;

/** What a container shows its strategy, and what that may do with it. */
@Timeout(30)
class EnvironmentTest {
    private static final long BANK = 0x1000_0000;
    private static final ReservedRegion MSI = new ReservedRegion(0xfee0_0000L, 0xfeef_ffffL, ReservedRegion.Kind.MSI);
    private static final ReservedRegion OWN = new ReservedRegion(0x7000_0000, 0x7000_0fff,
        ReservedRegion.Kind.RESERVED);

    @Test
    @DisplayName("windowed: geometry and windows are the domain's, without one the ledger's; banks say how many "
        + "vectors are used here")
    void windowed() {
        Board board = Board.pamu();
        VfioContainer container = board.container();
        MsiEnvironment environment = board.manual.environment;
        container.map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        container.as(Msis.class).call("MAP", 1, BANK);
        board.vfio.group(1).device(board.a.name()).setIrqs(msi(new LocalEventFd(0)));
        for (int i = 0; i < 2; i++) {
            assertEquals(board.iommu.capabilities(), environment.capabilities());
            assertEquals(new Geometry(0, 512 * MB), environment.geometry());
            assertEquals(64, environment.windows());
            assertEquals(container.mappings(), List.copyOf(environment.mappings()));
            assertEquals(List.of(new MsiPlacement(1, BANK, 0x1000)), environment.placements());
            assertEquals(List.of(new MsiEnvironment.Bank(0, 0x1000, 0), new MsiEnvironment.Bank(1, 0x1000, 1),
                new MsiEnvironment.Bank(2, 0x1000, 0)), environment.banks());
            board.vfio.removeIommu(board.iommu);
        }
        refused(Errno.EAGAIN, () -> environment.place(0, BANK + 8 * MB));
        board.vfio.addIommu(board.iommu, "pamu");
        board.vfio.removeController(board.controller);
        assertEquals(List.of(), environment.banks());
        container.unmap(0, 8 * MB);
        container.as(Msis.class).call("UNMAP", BANK);
        container.set(new Geometry(0, 0));
        assertEquals(0, environment.windows());
    }

    @Test
    @DisplayName("paged: no geometry, no windows; reserved is what hardware and attached devices say, with the IOMMU "
        + "away the hardware's")
    void paged() {
        Board board = Board.type1();
        board.iommu.own.put(0x12, List.of(OWN));
        board.container();
        MsiEnvironment environment = board.manual.environment;
        assertEquals(new Geometry(0, 0), environment.geometry());
        assertEquals(0, environment.windows());
        assertEquals(List.of(OWN, MSI), environment.reserved());
        board.vfio.removeIommu(board.iommu);
        assertEquals(List.of(MSI), environment.reserved());
    }

    @Test
    @DisplayName("what a session keeps is reserved for the user, in its place, and leaves the valid ranges, until it "
        + "is not kept any more")
    void keeps() {
        Board board = Board.type1();
        board.iommu.own.put(0x12, List.of(OWN));
        VfioContainer container = board.container();
        ReservedRegion kept = new ReservedRegion(0x800_0000, 0x80f_ffff, ReservedRegion.Kind.SOFTWARE_MSI);
        ReservedRegion high = new ReservedRegion(0x1_0000_0000L, 0x1_0000_0fffL, ReservedRegion.Kind.SOFTWARE_MSI);
        board.manual.keeps = List.of(high, kept);
        assertEquals(List.of(kept, OWN, MSI, high), container.reserved());
        assertEquals(
            List.of(new IovaRange(0, 0x7ff_ffff), new IovaRange(0x810_0000, 0x6fff_ffff),
                new IovaRange(0x7000_1000, 0xfedf_ffffL),
            new IovaRange(0xfef0_0000L, 0xffff_ffffL), new IovaRange(0x1_0000_1000L, 0xffff_ffff_ffffL)),
            container.info().ranges());
        String before = board.iommu.state();
        refused(Errno.EINVAL, "valid ranges",
            () -> container.map(0x80f_f000, board.memory(0x2000), 0, 0x2000, Access.READ));
        assertEquals(before, board.iommu.state());
        container.as(Msis.class).call("MAP", 1, 0x800_0000);
        assertEquals(Board.BANKS + 0x1000, container.lookup(0x800_0000, Access.WRITE));
        board.manual.keeps = List.of(kept);
        container.map(0x1_0000_0000L, board.memory(0x1000), 0, 0x1000, Access.READ);
        board.manual.keeps = List.of();
        container.map(0x80f_f000, board.memory(0x1000), 0, 0x1000, Access.READ);
        assertEquals(List.of(OWN, MSI), container.reserved());
        board.vfio.removeIommu(board.iommu);
        assertEquals(List.of(), container.reserved());
    }

    @Test
    @DisplayName("P7: a strategy whose turn is over places nothing, and neither sees nor takes away what the next "
        + "one has placed")
    void retired() {
        Board board = Board.pamu();
        VfioContainer container = board.container();
        MsiEnvironment before = board.manual.environment;
        container.as(Msis.class).call("MAP", 1, BANK);
        board.vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        container.as(Msis.class).call("MAP", 2, BANK + 8 * MB);
        List<MsiPlacement> placed = List.of(new MsiPlacement(2, BANK + 8 * MB, 0x1000));
        assertEquals(List.of(), before.placements());
        container.lock().run(() -> {
            refused(Errno.EINVAL, "another MSI strategy has taken over in container one", () -> before.place(0, BANK));
            before.remove(BANK + 8 * MB);
        });
        assertEquals(placed, container.as(Msis.class).placements());
        assertEquals(Board.BANKS + 0x2000, container.lookup(BANK + 8 * MB, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
    }

    @Test
    @DisplayName("mappings are shown as they are at each moment, by ascending address, and cannot be changed by who "
        + "looks")
    void view() {
        Board board = Board.type1();
        VfioContainer container = board.container();
        List<Mapping> seen = board.manual.environment.mappings();
        container.map(0x2000, board.memory(0x1000), 0, 0x1000, Access.READ);
        container.map(0x1000, board.memory(0x1000), 0, 0x1000, Access.READ);
        assertEquals(2, seen.size());
        assertEquals(0x1000, seen.get(0).iova());
        assertEquals(0x2000, seen.get(1).iova());
        assertThrows(IndexOutOfBoundsException.class, () -> seen.get(2));
        assertThrows(UnsupportedOperationException.class, () -> seen.iterator().remove());
    }
}
