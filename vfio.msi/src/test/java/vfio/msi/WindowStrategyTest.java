// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.msi.Expect.refused;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.service.log.Logger;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

class WindowStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(16, 3);
    private final WindowStrategy strategy = new WindowStrategy(0, 0);
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("window: the default range: the top eighth in whole windows, at least one for each bank; paged: "
        + "Linux's SW_MSI range")
    void ranges() {
        assertEquals(
            new MsiAssessment(true, "each of 3 banks is placed in 0x1a000000..0x1fffffff as soon as it is needed", 3,
                0),
            strategy.assess(environment));
        environment.set(new Geometry(0, 0x2000_0000), 32);
        assertTrue(strategy.assess(environment).reason().contains("0x1c000000..0x1fffffff"), "4 of 32");
        assertTrue(
            strategy.assess(FakeEnvironment.paged(0, 0xffff_ffff_ffffL, 3)).reason().contains("0x8000000..0x80fffff"));
        environment.set(new Geometry(0, 0), 0);
        assertEquals(
            new MsiAssessment(true, "once there are windows, each of 3 banks is placed in the last of them", 3, 0),
            strategy.assess(environment));
        assertEquals(List.of(), strategy.operations());
    }

    @Test
    @DisplayName("window: the range is announced as SOFTWARE_MSI, once there are windows; no other strategy "
        + "announces one")
    void announces() {
        assertEquals(List.of(new ReservedRegion(0x1a000000, 0x1fffffff, ReservedRegion.Kind.SOFTWARE_MSI)),
            session.reserved());
        assertEquals(List.of(), new TailStrategy().bind(environment).reserved());
        environment.set(new Geometry(0, 0), 0);
        assertEquals(List.of(), session.reserved());
    }

    @Test
    @DisplayName("adopt: bank, flag and fd take over what is placed, as if the user had mapped it; window, tail and "
        + "topdown do not")
    void adopts() {
        environment.place(1, 0x1a000000);
        for (MsiStrategy one : List.of(new BankStrategy(), new FlagStrategy(), new FdStrategy())) {
            MsiSession next = one.bind(environment);
            assertTrue(next.adopt(environment.placements()), one.name());
            assertEquals(List.of(1), next.reachable());
            assertEquals(0x1a000000, next.enable(1));
        }
        for (MsiStrategy one : List.of(strategy, new TailStrategy(), new TopDownStrategy())) {
            assertFalse(one.bind(environment).adopt(environment.placements()), one.name());
        }
    }

    @Test
    @DisplayName("P4: back after its bundle was swapped, window resumes what is inside its range, the ends included; "
        + "bank, flag and fd anything; tail and topdown nothing")
    void resumes() {
        for (long iova : new long[] {0x1a000000, 0x1e000000}) {
            assertTrue(session.resume(List.of(new MsiPlacement(0, iova, 0x2000000))), Long.toHexString(iova));
        }
        for (long iova : new long[] {0x18000000, 0x19fff000, 0x1e001000}) {
            assertFalse(
                session.resume(List.of(new MsiPlacement(1, 0x1c000000, 0x1000), new MsiPlacement(0, iova, 0x2000000))),
                Long.toHexString(iova));
        }
        List<MsiPlacement> anywhere = List.of(new MsiPlacement(0, 0x2000000, 0x1000));
        for (MsiStrategy one : List.of(new BankStrategy(), new FlagStrategy(), new FdStrategy())) {
            assertTrue(one.bind(environment).resume(anywhere), one.name());
        }
        for (MsiStrategy one : List.of(new TailStrategy(), new TopDownStrategy())) {
            assertFalse(one.bind(environment).resume(anywhere), one.name());
        }
        environment.set(new Geometry(0, 0), 0);
        assertFalse(session.resume(anywhere), "there are no windows");
    }

    @Test
    @DisplayName("window: PID vfio.msi.window: start and length in multiples of 4 KiB that do not wrap, else "
        + "IllegalArgumentException")
    void configuration() {
        for (long[] bad : new long[][] {{0x800, 0x1000}, {0, 0x1800}, {0, -0x1000}, {-0x1000, 0x2000}}) {
            assertThrows(IllegalArgumentException.class, () -> new WindowStrategy(bad[0], bad[1]));
        }
        new WindowStrategy(0x1000, 0);
        new WindowStrategy(-0x1000, 0x1000);
        WindowStrategy configured = new WindowStrategy(0x4000000, 0x4000000);
        assertTrue(configured.assess(environment).reason().endsWith("; there is room for only 2"));
        assertEquals(0x4000000, environment.use(configured.bind(environment), 0));
    }

    @Test
    @DisplayName("window: another configuration is for sessions that begin later; one that is refused changes "
        + "nothing, in one line")
    void modified() {
        List<String> lines = new ArrayList<>();
        Logger log = (Logger) Proxy.newProxyInstance(Logger.class.getClassLoader(), new Class<?>[] {Logger.class},
            (proxy, method, arguments) -> {
                assertEquals("error", method.getName());
                lines.add((String) arguments[0]);
                return null;
            });
        WindowStrategy configured = new WindowStrategy(Map.of("start", 0x4000000L, "length", 0x1800L), log);
        assertEquals(List.of(
            "vfio.msi.window: length=6144 is refused, legal is a multiple of 0x1000 from 0 on; the default 0 is used"),
            lines);
        lines.clear();
        new WindowStrategy(Map.of("start", 0x800L, "length", 0L), log);
        assertEquals(
            List.of("vfio.msi.window: start=2048 is refused, legal is a multiple of 0x1000; the default 0 is used"),
            lines);
        configured.modified(Map.of("start", "0x4000000", "length", 0x4000000));
        MsiSession before = configured.bind(environment);
        configured.modified(Map.of("start", 0x8000000L, "length", 0x4000000L));
        lines.clear();
        configured.modified(Map.of("start", -0x1000L, "length", 0x2000L));
        assertEquals(1, lines.size());
        assertTrue(lines.get(0).endsWith("; all stays as it was"), lines.get(0));
        assertEquals(0x8000000, configured.bind(environment).reserved().get(0).start());
        assertEquals(0x4000000, before.reserved().get(0).start());
        assertEquals(0x4000000, environment.use(before, 0));
    }

    @Test
    @DisplayName("window: assess: a range without a whole window, with memory inside, reserved, or all there is: not "
        + "feasible")
    void infeasible() {
        assertEquals(
            "no 0x2000000 bytes of 0x1000000..0x2ffffff are inside the aperture 0x0..0x1fffffff and outside of "
                + "reserved ranges",
            new WindowStrategy(0x1000000, 0x2000000).assess(environment).reason());
        assertEquals(
            "no 0x2000000 bytes of 0x20000000..0x23ffffff are inside the aperture 0x0..0x1fffffff and outside of "
                + "reserved ranges",
            new WindowStrategy(0x20000000, 0x4000000).assess(environment).reason());
        assertEquals(
            "0x1000000..0x1effffff touches all there is of the aperture 0x0..0x1fffffff and leaves nothing for memory",
            new WindowStrategy(0x1000000, 0x1e000000).assess(environment).reason());
        environment.map(new BankStrategy().bind(environment), 0x1e000000, 0x1000);
        assertEquals("memory is mapped at iova 0x1e000000+0x1000, inside 0x1a000000..0x1fffffff; unmap it",
            strategy.assess(environment).reason());
        environment.set(new Geometry(0, 0), 0);
        assertEquals("the hardware cannot translate all of 0x1000000000..0x1000000fff",
            new WindowStrategy(0x10_0000_0000L, 0x1000).assess(environment).reason());
        assertEquals("0x0..0xffff touches all there is of the aperture 0x0..0xffff and leaves nothing for memory",
            new WindowStrategy(0, 0x10000).assess(FakeEnvironment.paged(0, 0xffff, 1)).reason());
        FakeEnvironment arm = FakeEnvironment.paged(0, 0xffff_ffff_ffffL, 1,
            new ReservedRegion(0x08000000, 0x080fffff, ReservedRegion.Kind.DIRECT));
        assertEquals(
            "no 0x1000 bytes of 0x8000000..0x80fffff are inside the aperture 0x0..0xffffffffffff and outside of "
                + "reserved ranges",
            strategy.assess(arm).reason());
    }

    @Test
    @DisplayName("window: assess before there are windows: a configured range may reach either end of what the "
        + "hardware translates")
    void beforeWindows() {
        environment.capabilities = IommuCapabilities.windowed("pamu", 0x1000, 256, true, 0x8000, 0xf_ffff_ffffL);
        environment.set(new Geometry(0, 0), 0);
        assertEquals(3, new WindowStrategy(0x8000, 0x3000).assess(environment).windows());
        assertEquals(
            new MsiAssessment(true, "once there are windows, each of 3 banks is placed in 0xfffffe000..0xfffffffff; "
            + "there is room for only 2", 2, 0), new WindowStrategy(0xf_ffff_e000L, 0x2000).assess(environment));
        assertFalse(new WindowStrategy(0x7000, 0x3000).assess(environment).feasible());
        assertFalse(new WindowStrategy(0xf_ffff_e000L, 0x3000).assess(environment).feasible());
    }

    @Test
    @DisplayName("window: paged: bank after bank, page after page; the user keeps out: EINVAL; close() takes them away")
    void paged() {
        FakeEnvironment arm = FakeEnvironment.paged(0, 0xffff_ffff_ffffL, 3);
        MsiSession linux = strategy.bind(arm);
        assertEquals(0x08000000, arm.use(linux, 2));
        assertEquals(0x08001000, arm.use(linux, 0));
        assertEquals(List.of(0, 2, 1), linux.reachable(), "what is placed costs nothing");
        refused(Errno.EINVAL, "touches 0x8000000..0x80fffff, kept for MSI banks",
            () -> linux.mapping(0x080ff000, 0x1000));
        refused(Errno.EINVAL, "touches", () -> linux.mapping(0, 0x10000000));
        linux.mapping(0x08100000, 0x1000);
        linux.mapping(0, 0x08000000);
        linux.close();
        assertEquals(List.of(), arm.placements);
    }

    @Test
    @DisplayName("window: once placed a bank stays while the session lives")
    void stays() {
        assertEquals(0x1a000000, environment.use(session, 1));
        environment.leave(session, 1);
        assertEquals(List.of(new MsiPlacement(1, 0x1a000000, 0x1000)), environment.placements());
        assertEquals(0x1c000000, environment.use(session, 0));
        assertEquals(0x1a000000, environment.use(session, 1));
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("window: hot-plug: a later bank is placed while there is room, then ENOSPC: the range does not grow")
    void hotPlug() {
        for (int bank = 0; bank < 3; bank++) {
            environment.use(session, bank);
        }
        environment.bank(3, 0x1000);
        assertEquals(List.of(0, 1, 2), session.reachable());
        refused(Errno.ENOSPC, "0x1a000000..0x1fffffff has no room for MSI bank 3 beside banks [0, 1, 2]",
            () -> environment.use(session, 3));
        session.mapping(0x18000000, 0x2000000);
        FakeEnvironment arm = FakeEnvironment.paged(0, 0xffff_ffff_ffffL, 1);
        MsiSession linux = strategy.bind(arm);
        arm.use(linux, 0);
        arm.bank(1, 0x1000);
        assertEquals(0x08001000, arm.use(linux, 1));
    }

    @Test
    @DisplayName("window: a new geometry makes a new range; without one there is nothing to keep out of, and ENODEV")
    void geometry() {
        environment.set(new Geometry(0, 0), 0);
        session.mapping(0x1e000000, 0x1000);
        refused(Errno.ENODEV, "set the geometry", session::reachable);
        refused(Errno.ENODEV, "set the geometry", () -> environment.use(session, 0));
        environment.set(new Geometry(0x4000_0000, 0x10000), 16);
        refused(Errno.EINVAL, "0x4000d000..0x4000ffff", () -> session.mapping(0x4000f000, 0x1000));
        session.mapping(0x4000c000, 0x1000);
        assertEquals(0x4000d000, environment.use(session, 0));
    }

    @Test
    @DisplayName("window: it has no operations: ENOTTY; no such bank ENODEV")
    void misuse() {
        refused(Errno.ENOTTY, "strategy window has no operation MAP_MSI_BANK",
            () -> session.call("MAP_MSI_BANK", 0, 0));
        refused(Errno.ENODEV, "bank 3", () -> session.enable(3));
    }

    @Test
    @DisplayName("64 KiB pages: banks that take as much each are placed 64 KiB apart, at multiples of that")
    void largePages() {
        FakeEnvironment large = FakeEnvironment.paged(0, 0xffff_ffffL, 0);
        large.capabilities = IommuCapabilities.paged(0x1_0000, 0, 0xffff_ffffL, List.of());
        large.bank(0, 0x1_0000);
        large.bank(1, 0x1_0000);
        MsiSession placing = new WindowStrategy().bind(large);
        assertEquals(0x0800_0000, placing.enable(0));
        assertEquals(0x0801_0000, placing.enable(1));
        assertEquals(List.of(new MsiPlacement(0, 0x0800_0000, 0x1_0000), new MsiPlacement(1, 0x0801_0000, 0x1_0000)),
            large.placements());
    }
}
