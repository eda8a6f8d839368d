// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.api.Iommu;
import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import irq.api.InterruptRemapping;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.fixture.TestFramework;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The driver as a service. */
class VtdComponentTest {
    /** GSTS, IRES: interrupt remapping is on. */
    private static final long REMAPS = 1 << 25;
    /** GSTS, TES: translation is on. */
    private static final long TRANSLATES = 1L << 31;

    private Bench bench = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
    private final TestFramework framework = new TestFramework();

    private VtdComponent component(TestFramework of) {
        return new VtdComponent(bench.machine, bench.nodes, of.log);
    }

    private Optional<String> driver(int node) {
        return bench.machine.holds().holder(Holds.Role.DRIVER, bench.nodes.get(node));
    }

    private static VtdDriver driver(TestFramework of) {
        return (VtdDriver) of.offered().stream().filter(offer -> offer.type == Iommu.class).findFirst()
            .orElseThrow().service;
    }

    private static void closed(VtdDriver driver) {
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, driver::open).errno());
    }

    @Test
    @DisplayName("VT-d: both services are there when all units are, and go before the driver is closed; translation "
        + "stays on")
    void services() {
        VtdComponent component = component(framework);
        component.activate(framework.context, Map.of());
        assertEquals(List.of(InterruptRemapping.class, Iommu.class),
            framework.offers.stream().map(offer -> offer.type).toList());
        framework.offers.forEach(offer -> {
            assertEquals("vtd", offer.properties.get("iommu.kind"));
            assertArrayEquals(new String[] {"type1v2", "type1"}, (Object[]) offer.properties.get("vfio.type"));
        });
        assertEquals(Optional.of(TestFramework.HOLDER), driver(0));
        assertEquals(Optional.of(TestFramework.HOLDER), driver(1));
        assertEquals(REMAPS, bench.reg(0x1c) & REMAPS);
        VtdDriver driver = driver(framework);
        List<Class<?>> there = new ArrayList<>();
        framework.inUnregister = () -> {
            framework.offered().forEach(offer -> there.add(offer.type));
            driver.open().close();
        };
        component.close();
        assertEquals(List.of(InterruptRemapping.class, Iommu.class, InterruptRemapping.class), there, "last first");
        assertEquals(List.of(), framework.offered());
        closed(driver);
        assertEquals(TRANSLATES, bench.reg(0x1c) & TRANSLATES);
        assertEquals(Optional.empty(), driver(0));
        assertEquals(List.of(), framework.lines);
    }

    @Test
    @DisplayName("VT-d: without one of the machine's units nothing is offered: the devices behind it would be "
        + "without protection")
    void someUnits() {
        VtdComponent component = new VtdComponent(bench.machine, bench.nodes.subList(0, 1), framework.log);
        component.activate(framework.context, Map.of());
        assertEquals(List.of(), framework.offers);
        assertEquals(Optional.empty(), driver(0));
        component.modified(Map.of("timeout.millis", 5));
        component.close();
    }

    @Test
    @DisplayName("VT-d: without interrupt remapping, be it configured or the hardware's, there is only the Iommu")
    void noRemapping() {
        VtdComponent component = component(framework);
        component.activate(framework.context, Map.of("interrupt.remapping", false));
        assertEquals(List.of(Iommu.class), framework.offers.stream().map(offer -> offer.type).toList());
        assertEquals(0, bench.reg(0x1c) & REMAPS);
        component.close();
    }

    @Test
    @DisplayName("VT-d: a timeout and superpages are in force at once, what the hardware was set up with is not, and "
        + "that is said")
    void modified() {
        VtdComponent component = component(framework);
        component.activate(framework.context, Map.of());
        VtdDriver driver = driver(framework);
        component.modified(Map.of("superpages", false, "timeout.millis", 700));
        assertEquals(List.of(), framework.lines);
        assertEquals(new Superpages(false, true), driver.open().get(Superpages.class));
        String later = "warn: some of the new configuration is for a driver that starts from now on; restart this "
            + "bundle to start it anew";
        for (Map<String, Object> other : List.<Map<String, Object>>of(Map.of("levels", 3),
            Map.of("interrupt.remapping", false),
                Map.of("remapping.entries", 512), Map.of("descriptor.drains", true))) {
            component.modified(other);
            assertEquals(List.of(later), framework.lines, other.toString());
            framework.lines.clear();
        }
        assertEquals(new Superpages(true, true), driver.open().get(Superpages.class));
        assertEquals(2, framework.offered().size());
        component.modified(Map.of("levels", 6, "remapping.entries", 300));
        assertEquals(
            "error: iommu.vtd: levels=6 is refused, legal is 0, 3, 4 or 5; 0 stays; remapping.entries=300 is refused, "
                + "legal is a power of two, 256..65536; 4096 stays", framework.lines.get(0));
        component.close();
    }

    @Test
    @DisplayName("VT-d: a depth that these units do not walk is one line, and the deepest that they walk is used")
    void levels() {
        VtdComponent component = component(framework);
        component.activate(framework.context,
            Map.of("levels", 5, "timeout.millis", 70, "superpages", false, "remapping.entries", 256));
        assertEquals(1, framework.lines.size());
        String line = framework.lines.get(0);
        assertEquals("error: iommu.vtd: levels=5 is refused, no table depth suits: wanted 5 levels",
            line.substring(0, line.indexOf(',', 50)));
        assertEquals("; the default 0 is used", line.substring(line.lastIndexOf(';')));
        assertEquals((1L << 48) - 1, driver(framework).capabilities().apertureEnd());
        assertEquals(new Superpages(false, true), driver(framework).open().get(Superpages.class));
        assertEquals(7, bench.reg8(0xb8) & 0xf, "IRTA: 2^(7+1) entries");
        component.close();
    }

    @Test
    @DisplayName("VT-d: units that have no depth in common are an error, and nobody drives them")
    void nothingInCommon() {
        bench = new Bench(Bench.levels(3), Bench.levels(4));
        assertEquals(Errno.EOPNOTSUPP, assertThrows(ErrnoException.class,
            () -> component(framework).activate(framework.context, Map.of())).errno());
        assertEquals(List.of(), framework.offers);
        assertEquals(List.of(), framework.lines);
        assertEquals(Optional.empty(), driver(0));
    }

    @Test
    @DisplayName("VT-d: a second bundle offers nothing while the first drives the units, and takes over with what is "
        + "configured by then")
    void standsBy() {
        TestFramework later = new TestFramework();
        VtdComponent first = component(framework);
        VtdComponent second = component(later);
        first.activate(framework.context, Map.of());
        second.activate(later.context, Map.of());
        second.modified(Map.of("superpages.split", false, "interrupt.remapping", false));
        assertEquals(List.of(), later.offers);
        first.close();
        assertEquals(1, later.offered().size());
        assertEquals(new Superpages(true, false), driver(later).open().get(Superpages.class));
        second.close();
        assertEquals(Optional.empty(), driver(0));
    }

    @Test
    @DisplayName("VT-d: who takes over when some of the hardware has gone offers nothing, and leaves without a word")
    void hardwareGone() {
        TestFramework later = new TestFramework();
        VtdComponent first = component(framework);
        VtdComponent second = component(later);
        first.activate(framework.context, Map.of());
        second.activate(later.context, Map.of());
        bench.attachments.get(1).close();
        first.close();
        assertEquals(List.of(), later.offers);
        second.close();
        assertEquals(Optional.empty(), driver(0));
    }

    @Test
    @DisplayName("VT-d: a service that cannot be registered takes the other one along, and the driver; nobody drives "
        + "the units")
    void notRegistered() {
        framework.refused = Iommu.class;
        VtdComponent component = component(framework);
        long memory = 0;
        for (int round = 1; round <= 3; round++) {
            assertThrows(IllegalStateException.class, () -> component.activate(framework.context, Map.of()));
            memory = round == 1 ? bench.machine.memory().available() : memory;
            assertEquals(memory, bench.machine.memory().available(), "the root tables stay, and are the next driver's");
            assertEquals(round, framework.offers.size());
            assertEquals(List.of(), framework.offered());
            assertEquals(Optional.empty(), driver(0));
        }
        framework.refused = null;
        component.activate(framework.context, Map.of());
        assertEquals(2, framework.offered().size());
        component.close();
    }

    @Test
    @DisplayName("VT-d: the driver is closed even if the framework does not let a service go")
    void notUnregistered() {
        VtdComponent component = component(framework);
        component.activate(framework.context, Map.of());
        VtdDriver driver = driver(framework);
        IommuDomain open = driver.open();
        framework.inUnregister = () -> {
            throw new IllegalStateException("unregistered already");
        };
        assertThrows(IllegalStateException.class, component::close);
        closed(driver);
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, () -> open.attach(Bench.at(1))).errno());
        assertEquals(Optional.empty(), driver(0));
    }
}
