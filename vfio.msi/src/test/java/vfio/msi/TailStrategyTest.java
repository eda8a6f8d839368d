// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.msi.Expect.refused;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;

class TailStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(8, 3);
    private final TailStrategy strategy = new TailStrategy();
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("tail: assess: the last windows, without any operation; not where translation is paged")
    void assess() {
        assertEquals(new MsiAssessment(true, "the last 3 windows are for banks [0, 1, 2]", 3, 0),
            strategy.assess(environment));
        assertEquals(List.of(), strategy.operations());
        assertEquals("translation is paged here: there are no last windows",
            strategy.assess(FakeEnvironment.paged(0, 0xffff_ffffL, 1)).reason());
        environment.set(new Geometry(0, 0), 0);
        assertTrue(strategy.assess(environment).feasible(), "windows not set yet");
        environment.capabilities = IommuCapabilities.windowed("pamu", 0x1000, 4, true, 0, 0xf_ffff_ffffL);
        environment.bank(4, 0x1000);
        assertEquals("at most 4 windows leave none for memory beside 4 banks", strategy.assess(environment).reason());
        environment.banks.remove(0);
        assertEquals("4 windows leave none for memory beside the last 5, one for each bank up to 4",
            strategy.assess(environment).reason());
        environment.set(new Geometry(0, 0x2000_0000), 5);
        assertEquals("5 windows leave none for memory beside the last 5, one for each bank up to 4",
            strategy.assess(environment).reason());
    }

    @Test
    @DisplayName("tail: assess: memory that is in the way when the strategy is chosen counts")
    void memory() {
        MsiSession other = new BankStrategy().bind(environment);
        environment.map(other, 0x18000000, 0x1000);
        assertEquals(
            new MsiAssessment(true, "the last 3 windows are for banks [0, 1, 2]; there is room for only 2", 2, 0),
            strategy.assess(environment));
        assertEquals(List.of(0, 2), session.reachable());
        environment.map(other, 0x14000000, 0x1000);
        environment.map(other, 0x1c000000, 0x4000000);
        assertEquals("memory or a reserved range is in each bank's window among the last 3; unmap it",
            strategy.assess(environment).reason());
        assertEquals(List.of(0, 1, 2), session.reachable(), "never empty");
        refused(Errno.ENOSPC, "window 6 at 0x18000000..0x1bffffff is for MSI bank 1, but memory",
            () -> environment.use(session, 1));
    }

    @Test
    @DisplayName("tail: bank n has window windows - 1 - n, from its first vector to its last")
    void sequence() {
        environment.map(session, 0, 0x14000000);
        assertEquals(0x18000000, environment.use(session, 1));
        assertEquals(0x1c000000, environment.use(session, 0));
        assertEquals(0x18000000, environment.use(session, 1));
        assertEquals(List.of(0, 1, 2), session.reachable());
        environment.leave(session, 0);
        environment.leave(session, 1);
        assertEquals(List.of(new MsiPlacement(1, 0x18000000, 0x1000)), environment.placements());
        assertEquals(List.of(1, 0, 2), session.reachable(), "what is placed costs nothing");
        assertEquals(0x14000000, environment.use(session, 2));
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("tail: mapping memory into a tail window: EINVAL, naming the windows, placed or not; also from below")
    void mapping() {
        for (long iova : new long[] {0x14000000, 0x1c000000, 0x1ffff000}) {
            refused(Errno.EINVAL, "windows 5..7 at 0x14000000..0x1fffffff", () -> session.mapping(iova, 0x1000));
        }
        refused(Errno.EINVAL, "iova 0x0+0x18000000", () -> session.mapping(0, 0x18000000));
        session.mapping(0, 0x14000000);
        environment.set(new Geometry(0, 0), 0);
        session.mapping(0x14000000, 0x1000);
    }

    @Test
    @DisplayName("tail: no window to spare: memory EINVAL, a bank beyond the first window ENOSPC")
    void nothingToSpare() {
        environment.set(new Geometry(0, 0x2000_0000), 2);
        assertEquals("2 windows leave none for memory beside 3 banks", strategy.assess(environment).reason());
        refused(Errno.EINVAL, "windows 0..1", () -> session.mapping(0, 0x1000));
        assertEquals(List.of(0, 1), session.reachable());
        refused(Errno.ENOSPC, "MSI bank 2 has no window among the last of 2", () -> environment.use(session, 2));
    }

    @Test
    @DisplayName("tail: it has no operations: ENOTTY; windows not set ENODEV; no such bank ENODEV")
    void misuse() {
        refused(Errno.ENOTTY, "strategy tail has no operation GET_MSI_BANK_COUNT; it has []",
            () -> session.call("GET_MSI_BANK_COUNT"));
        refused(Errno.ENODEV, "bank 3", () -> session.enable(3));
        environment.set(new Geometry(0, 0), 0);
        refused(Errno.ENODEV, "set the geometry", session::reachable);
        refused(Errno.ENODEV, "set the geometry", () -> environment.use(session, 0));
    }

    @Test
    @DisplayName("tail: hot-plug: a later bank's window is kept from then on; memory there: ENOSPC; a bank that is "
        + "away keeps its own")
    void hotPlug() {
        environment.map(session, 0, 0x10000000);
        environment.bank(3, 0x1000);
        refused(Errno.EINVAL, "windows 4..7", () -> session.mapping(0x10000000, 0x1000));
        assertEquals(0x10000000, environment.use(session, 3));
        environment.bank(4, 0x1000);
        assertEquals(List.of(3, 0, 1, 2), session.reachable());
        refused(Errno.ENOSPC, "window 3 at 0xc000000..0xfffffff is for MSI bank 4", () -> environment.use(session, 4));
        environment.banks.clear();
        environment.placements.clear();
        refused(Errno.EINVAL, "windows 4..7", () -> session.mapping(0x10000000, 0x1000));
    }
}
