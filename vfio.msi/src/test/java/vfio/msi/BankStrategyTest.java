// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.msi.Expect.refused;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;

class BankStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(8, 3);
    private final BankStrategy strategy = new BankStrategy();
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("bank: its name and operations, those of the PAMU driver and a move")
    void operations() {
        assertEquals("bank", strategy.name());
        assertEquals(
            List.of("GET_MSI_BANK_COUNT", "MAP_MSI_BANK index iova", "MOVE_MSI_BANK index iova", "UNMAP_MSI_BANK iova"),
            strategy.operations());
    }

    @Test
    @DisplayName("bank: assess: one window and one operation per bank, and one operation to count them")
    void assess() {
        assertEquals(new MsiAssessment(true, "the user maps each of 3 banks into a window", 3, 4),
            strategy.assess(environment));
        environment.set(new Geometry(0, 0), 0);
        assertTrue(strategy.assess(environment).feasible(), "windows not set yet");
        environment.set(new Geometry(0, 0x2000_0000), 4);
        assertTrue(strategy.assess(environment).feasible());
    }

    @Test
    @DisplayName("bank: assess: not feasible without a bank, without a window for memory, or where MSIs bypass "
        + "translation")
    void infeasible() {
        environment.windows = 3;
        assertEquals("3 windows leave none for memory beside 3 banks", strategy.assess(environment).reason());
        environment.windows = 8;
        environment.banks.clear();
        assertEquals("the interrupt controller has no MSI bank", strategy.assess(environment).reason());
        environment.bank(0, 0x100000);
        environment.capabilities = IommuCapabilities.paged(0x1000, 0, 0xffff_ffff_ffffL,
            List.of(new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI)));
        assertEquals("MSIs do not enter translation here, so no bank can be mapped",
            strategy.assess(environment).reason());
    }

    @Test
    @DisplayName("bank: assess: with memory in the windows it promises fewer banks, and none if all are full")
    void full() {
        environment.map(session, 0, 6 * 0x4000000);
        assertEquals(
            new MsiAssessment(true, "the user maps each of 3 banks into a window; there is room for only 2", 2, 3),
            strategy.assess(environment));
        environment.map(session, 6 * 0x4000000, 0x1000);
        environment.map(session, 7 * 0x4000000, 0x4000000);
        assertEquals(MsiAssessment.refused("none of the 8 windows is free of memory and reserved ranges; unmap some"),
            strategy.assess(environment));
    }

    @Test
    @DisplayName("bank: assess: not feasible if the hardware never has enough windows, or a bank is longer than one")
    void hardware() {
        environment.set(new Geometry(0, 0), 0);
        environment.capabilities = IommuCapabilities.windowed("pamu", 0x1000, 2, true, 0, 0xf_ffff_ffffL);
        assertEquals("at most 2 windows leave none for memory beside 3 banks", strategy.assess(environment).reason());
        environment.set(new Geometry(0, 0x8000), 8);
        environment.bank(2, 0x2000);
        assertEquals("MSI bank 2 has 0x2000 bytes, a window only 0x1000", strategy.assess(environment).reason());
    }

    @Test
    @DisplayName("GET_MSI_BANK_COUNT, MAP_MSI_BANK of each at 0x10000000, 0x14000000, 0x18000000: the RFC's worked "
        + "sequence")
    void sequence() {
        assertEquals(3, session.call("GET_MSI_BANK_COUNT"));
        assertEquals(0, session.call("MAP_MSI_BANK", 0, 0x10000000));
        assertEquals(0, session.call("MAP_MSI_BANK", 1, 0x14000000));
        assertEquals(0, session.call("MAP_MSI_BANK", 2, 0x18000000));
        assertEquals(List.of(new MsiPlacement(0, 0x10000000, 0x1000), new MsiPlacement(1, 0x14000000, 0x1000),
            new MsiPlacement(2, 0x18000000, 0x1000)), environment.placements());
        assertEquals(List.of(0, 1, 2), session.reachable());
        assertEquals(0x14000000, session.enable(1));
        session.disable(1);
        assertEquals(3, environment.placements.size(), "the window stays the user's");
        assertEquals(0, session.call("UNMAP_MSI_BANK", 0x14000000));
        assertEquals(List.of(0, 2), session.reachable());
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("MAP_MSI_BANK: bad index: ENODEV, also if good in 32 bits; bank mapped already or address taken: "
        + "EEXIST")
    void map() {
        refused(Errno.ENODEV, "bank 3", () -> session.call("MAP_MSI_BANK", 3, 0));
        refused(Errno.ENODEV, "bank -1", () -> session.call("MAP_MSI_BANK", -1, 0));
        refused(Errno.ENODEV, "bank 4294967296", () -> session.call("MAP_MSI_BANK", 1L << 32, 0));
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        refused(Errno.EEXIST, "0x10000000; unmap it", () -> session.call("MAP_MSI_BANK", 0, 0x14000000));
        refused(Errno.EEXIST, "0x10000000 is taken", () -> session.call("MAP_MSI_BANK", 1, 0x10000000));
        assertEquals(1, environment.placements.size());
    }

    @Test
    @DisplayName("MOVE_MSI_BANK: to a free window; not mapped or no such bank: ENODEV; address taken: EEXIST")
    void move() {
        refused(Errno.ENODEV, "MAP_MSI_BANK", () -> session.call("MOVE_MSI_BANK", 0, 0x14000000));
        refused(Errno.ENODEV, "bank 3", () -> session.call("MOVE_MSI_BANK", 3, 0x14000000));
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        session.call("MAP_MSI_BANK", 1, 0x18000000);
        assertEquals(0, session.call("MOVE_MSI_BANK", 0, 0x14000000));
        assertEquals(0x14000000, session.enable(0));
        refused(Errno.EEXIST, "0x18000000 is taken", () -> session.call("MOVE_MSI_BANK", 0, 0x18000000));
    }

    @Test
    @DisplayName("UNMAP_MSI_BANK: not the exact iova of a mapped bank: EINVAL; vectors enabled: EBUSY")
    void unmap() {
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        refused(Errno.EINVAL, "0x10000140", () -> session.call("UNMAP_MSI_BANK", 0x10000140));
        assertEquals(0x10000000, environment.use(session, 0));
        environment.use(session, 0);
        refused(Errno.EBUSY, "2 vectors of MSI bank 0 at iova 0x10000000",
            () -> session.call("UNMAP_MSI_BANK", 0x10000000));
        environment.leave(session, 0);
        environment.leave(session, 0);
        session.call("UNMAP_MSI_BANK", 0x10000000);
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("MAP_MSI_BANK: an iova that is not the start of a window: EINVAL, the IOMMU's")
    void notAWindow() {
        refused(Errno.EINVAL, "0x10001000", () -> session.call("MAP_MSI_BANK", 0, 0x10001000));
        refused(Errno.EINVAL, "0x20000000", () -> session.call("MAP_MSI_BANK", 0, 0x20000000));
        environment.map(session, 0x10000000, 0x4000000);
        refused(Errno.EEXIST, "0x10000000", () -> session.call("MAP_MSI_BANK", 0, 0x10000000));
    }

    @Test
    @DisplayName("hot-plug: a bank that comes later is the user's to map, and enabling it says so")
    void hotPlug() {
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        environment.bank(3, 0x1000);
        assertEquals(4, session.call("GET_MSI_BANK_COUNT"));
        assertEquals(List.of(0), session.reachable(), "the new device does with a bank that is mapped");
        refused(Errno.ENODEV, "call MAP_MSI_BANK 3 iova first", () -> environment.use(session, 3));
        session.call("MAP_MSI_BANK", 3, 0x18000000);
        assertEquals(0x18000000, environment.use(session, 3));
    }

    @Test
    @DisplayName("an operation it does not have: ENOTTY; a wrong number of arguments: EINVAL")
    void misuse() {
        refused(Errno.ENOTTY, "strategy bank has no operation RING; it has [GET_MSI_BANK_COUNT, ",
            () -> session.call("RING"));
        refused(Errno.ENOTTY, "MAP_DMA_MSI", () -> session.call("MAP_DMA_MSI", 0, 0x1000));
        refused(Errno.EINVAL, "takes 0 arguments, not 1", () -> session.call("GET_MSI_BANK_COUNT", 1));
        refused(Errno.EINVAL, "takes 2 arguments, not 1", () -> session.call("MAP_MSI_BANK", 1));
        refused(Errno.EINVAL, "takes 2 arguments, not 3", () -> session.call("MOVE_MSI_BANK", 1, 0x1000, 0x2000));
        refused(Errno.EINVAL, "takes 1 arguments, not 0", () -> session.call("UNMAP_MSI_BANK"));
    }

    @Test
    @DisplayName("no bank mapped: nothing is reachable, and the message says what to call; a bank that is not mapped "
        + "is not enabled")
    void nothingMapped() {
        refused(Errno.ENODEV, "call MAP_MSI_BANK first", session::reachable);
        refused(Errno.ENODEV, "call MAP_MSI_BANK 1 iova first", () -> session.enable(1));
    }
}
