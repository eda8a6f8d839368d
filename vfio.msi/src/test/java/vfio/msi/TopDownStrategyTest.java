// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.msi.Expect.refused;

import iommu.api.Geometry;
import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;

class TopDownStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(8, 3);
    private final TopDownStrategy strategy = new TopDownStrategy();
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("topdown: assess: the user asks for the count; not where translation is paged")
    void assess() {
        assertEquals(
            new MsiAssessment(true, "each of 3 banks gets the highest free window as soon as it is needed", 3, 1),
            strategy.assess(environment));
        assertEquals(List.of("GET_MSI_BANK_COUNT"), strategy.operations());
        environment.map(session, 0, 7 * 0x4000000);
        assertEquals(1, strategy.assess(environment).windows());
        assertEquals("translation is paged here: there are no windows to go through from the top",
            strategy.assess(FakeEnvironment.paged(0, 0xffff_ffffL, 1)).reason());
    }

    @Test
    @DisplayName("topdown: memory upwards, banks downwards from the top, around what is there; with the last vector "
        + "its window goes back")
    void sequence() {
        assertEquals(3, session.call("GET_MSI_BANK_COUNT"));
        environment.map(session, 0, 0x10000000);
        environment.map(session, 0x18000000, 0x1000);
        assertEquals(List.of(0, 1, 2), session.reachable());
        assertEquals(0x1c000000, environment.use(session, 1));
        assertEquals(List.of(1, 0, 2), session.reachable(), "what is placed costs nothing");
        assertEquals(0x14000000, environment.use(session, 0));
        assertEquals(0x1c000000, environment.use(session, 1));
        environment.leave(session, 1);
        assertEquals(2, environment.placements.size());
        environment.leave(session, 1);
        assertEquals(List.of(new MsiPlacement(0, 0x14000000, 0x1000)), environment.placements());
        assertEquals(0x1c000000, environment.use(session, 2));
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("topdown: memory in every window: ENOSPC; then only banks that are placed are welcome; memory "
        + "unmapped: there is room")
    void full() {
        environment.map(session, 0, 0x1c000000);
        assertEquals(0x1c000000, environment.use(session, 0));
        assertEquals(List.of(0), session.reachable());
        refused(Errno.ENOSPC, "none of the 8 windows is free for MSI bank 1; unmap memory, and leave 3",
            () -> environment.use(session, 1));
        environment.leave(session, 0);
        environment.map(session, 0x1c000000, 0x4000000);
        assertEquals(List.of(0, 1, 2), session.reachable(), "never empty");
        refused(Errno.ENOSPC, "MSI bank 0", () -> environment.use(session, 0));
        environment.mappings.clear();
        assertEquals(0x1c000000, environment.use(session, 0));
    }

    @Test
    @DisplayName("topdown: windows not set ENODEV; no such bank ENODEV; another strategy's operation ENOTTY; "
        + "arguments EINVAL")
    void misuse() {
        refused(Errno.ENODEV, "bank 3", () -> session.enable(3));
        refused(Errno.ENOTTY, "strategy topdown has no operation MAP_MSI_BANK; it has [GET_MSI_BANK_COUNT]",
            () -> session.call("MAP_MSI_BANK", 0, 0));
        refused(Errno.EINVAL, "takes 0 arguments, not 1", () -> session.call("GET_MSI_BANK_COUNT", 1));
        environment.set(new Geometry(0, 0x2000_0000), 0);
        refused(Errno.ENODEV, "set the geometry, then the windows, first", session::reachable);
        environment.set(new Geometry(0, 0), 8);
        refused(Errno.ENODEV, "set the geometry, then the windows, first", session::reachable);
        environment.set(new Geometry(0, 0), 0);
        refused(Errno.ENODEV, "set the geometry, then the windows, first", session::reachable);
        refused(Errno.ENODEV, "set the geometry", () -> environment.use(session, 0));
        environment.banks.clear();
        refused(Errno.ENODEV, "there is no MSI bank", session::reachable);
    }

    @Test
    @DisplayName("topdown: hot-plug: a bank that comes later gets the next window; over a swap enable comes before "
        + "disable")
    void hotPlug() {
        environment.use(session, 0);
        environment.bank(3, 0x1000);
        assertEquals(4, session.call("GET_MSI_BANK_COUNT"));
        assertEquals(0x18000000, environment.use(session, 3));
        assertEquals(0x1c000000, environment.use(session, 0));
        environment.leave(session, 0);
        assertEquals(2, environment.placements.size());
        session.disable(2);
        assertEquals(2, environment.placements.size(), "what is not placed is not removed");
    }
}
