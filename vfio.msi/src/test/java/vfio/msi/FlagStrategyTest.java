// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.msi.Expect.refused;

import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;

class FlagStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(8, 2);
    private final FlagStrategy strategy = new FlagStrategy();
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("flag: assess: one operation per bank; there is no count to ask for")
    void assess() {
        assertEquals(new MsiAssessment(true, "the user maps 2 banks like memory, with a flag", 2, 2),
            strategy.assess(environment));
        assertEquals(List.of("MAP_DMA_MSI iova size", "UNMAP_DMA_MSI iova"), strategy.operations());
        assertEquals(2, strategy.assess(FakeEnvironment.paged(0, 0xffff_ffffL, 2)).windows());
    }

    @Test
    @DisplayName("MAP_DMA_MSI: VFIO puts the next bank there that is not mapped, and tells which; when none is left: "
        + "ENODEV")
    void sequence() {
        assertEquals(0, session.call("MAP_DMA_MSI", 0x10000000, 0x1000));
        assertEquals(1, session.call("MAP_DMA_MSI", 0x14000000, 0x1000));
        refused(Errno.ENODEV, "no MSI bank is left", () -> session.call("MAP_DMA_MSI", 0x18000000, 0x1000));
        assertEquals(List.of(0, 1), session.reachable());
        assertEquals(0x14000000, environment.use(session, 1));
        refused(Errno.EBUSY, "1 vectors of MSI bank 1", () -> session.call("UNMAP_DMA_MSI", 0x14000000));
        environment.leave(session, 1);
        assertEquals(2, environment.placements.size(), "the window stays the user's");
        assertEquals(0, session.call("UNMAP_DMA_MSI", 0x10000000));
        assertEquals(0, session.call("MAP_DMA_MSI", 0x18000000, 0x1000), "bank 0 is the one that is not mapped");
        assertEquals(List.of(new MsiPlacement(1, 0x14000000, 0x1000), new MsiPlacement(0, 0x18000000, 0x1000)),
            environment.placements());
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("MAP_DMA_MSI: not a window, or not the bank's size: EINVAL; the window taken by memory or a bank: "
        + "EEXIST")
    void map() {
        environment.map(session, 0, 0x4000000);
        refused(Errno.EINVAL, "0x10000140", () -> session.call("MAP_DMA_MSI", 0x10000140, 0x1000));
        refused(Errno.EINVAL, "size 0x4000000: MSI bank 0", () -> session.call("MAP_DMA_MSI", 0x10000000, 0x4000000));
        refused(Errno.EEXIST, "0x0 is taken", () -> session.call("MAP_DMA_MSI", 0, 0x1000));
        session.call("MAP_DMA_MSI", 0x10000000, 0x1000);
        refused(Errno.EEXIST, "0x10000000 is taken", () -> session.call("MAP_DMA_MSI", 0x10000000, 0x1000));
        assertEquals(1, environment.placements.size());
    }

    @Test
    @DisplayName("flag: misuse: UNMAP_DMA_MSI elsewhere EINVAL; an operation of another strategy ENOTTY; arguments "
        + "EINVAL")
    void misuse() {
        refused(Errno.EINVAL, "0x10000000", () -> session.call("UNMAP_DMA_MSI", 0x10000000));
        refused(Errno.ENOTTY, "strategy flag has no operation MAP_MSI_BANK; it has [MAP_DMA_MSI iova size, ",
            () -> session.call("MAP_MSI_BANK", 0, 0x10000000));
        refused(Errno.EINVAL, "takes 2 arguments, not 1", () -> session.call("MAP_DMA_MSI", 1));
        refused(Errno.EINVAL, "takes 1 arguments, not 2", () -> session.call("UNMAP_DMA_MSI", 1, 2));
    }

    @Test
    @DisplayName("flag: a bank not mapped, or hot-plugged: ENODEV says what to call, and one more call maps it")
    void hotPlug() {
        refused(Errno.ENODEV, "call MAP_DMA_MSI first", session::reachable);
        session.call("MAP_DMA_MSI", 0x10000000, 0x1000);
        session.call("MAP_DMA_MSI", 0x14000000, 0x1000);
        environment.bank(2, 0x1000);
        assertEquals(List.of(0, 1), session.reachable());
        refused(Errno.ENODEV, "call MAP_DMA_MSI iova size, until it returns 2, first",
            () -> environment.use(session, 2));
        assertEquals(2, session.call("MAP_DMA_MSI", 0x18000000, 0x1000));
        assertEquals(0x18000000, environment.use(session, 2));
    }
}
