// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Access;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.api.Refusal;
import machine.fixture.TestFramework;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The driver as a service. */
class PamuComponentTest {
    private static final int GATE_CLOSED = 0x8000_0000;

    private final Board board = new Board();
    private final TestFramework framework = new TestFramework();
    private final PamuComponent component = component(framework);

    private PamuComponent component(TestFramework of) {
        return new PamuComponent(board.machine, board.node, of.log);
    }

    private static Map<String, Object> configured(String policy) {
        return Map.of("iommu.kind", "pamu", "vfio.type", "pamu", "violation.policy", policy);
    }

    private Optional<String> driver() {
        return board.machine.holds().holder(Holds.Role.DRIVER, board.node);
    }

    private boolean open(int instance) {
        return (board.register(instance, 0xc10) & GATE_CLOSED) == 0;
    }

    /** {@return whether V of an offender is cleared} */
    private boolean stops(PamuDriver driver) {
        try (IommuDomain domain = driver.open()) {
            domain.set(new Geometry(0, 0x8000));
            domain.set(new Windows(8));
            domain.map(0, board.machine.memory().allocate(0x1000, 0x1000, Layout.CONTIGUOUS), 0, 0x1000,
                Access.READ_WRITE);
            domain.attach(Board.at(1));
            board.write(1, 0x5000);
            driver.violations();
            return board.write(1, 0) == Refusal.NO_REQUESTER;
        }
    }

    @Test
    @DisplayName("PAMU: the service is there with what is in force; it goes first, then the driver, and the gates "
        + "are closed")
    void service() {
        component.activate(framework.context, configured("DISABLE"));
        assertEquals(Optional.of(TestFramework.HOLDER), driver());
        TestFramework.Offer offer = framework.offers.get(0);
        assertEquals(Iommu.class, offer.type);
        assertEquals(configured("disable"), offer.properties);
        PamuDriver driver = (PamuDriver) offer.service;
        assertEquals(true, stops(driver));
        framework.inUnregister = () -> driver.open().close();
        component.deactivate();
        assertEquals(List.of(), framework.offered());
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, driver::open).errno());
        assertEquals(List.of(false, false), List.of(open(0), open(1)));
        assertEquals(Optional.empty(), driver());
        assertEquals(List.of(), framework.lines);
    }

    @Test
    @DisplayName("PAMU: another policy is in force at once and in the service's properties; one that is none leaves "
        + "that before, in one line")
    void modified() {
        component.activate(framework.context, Map.of());
        TestFramework.Offer offer = framework.offers.get(0);
        PamuDriver driver = (PamuDriver) offer.service;
        assertEquals("report", offer.properties.get("violation.policy"));
        assertEquals(false, stops(driver));
        component.modified(configured("disable"));
        assertEquals("disable", offer.properties.get("violation.policy"));
        assertEquals(true, stops(driver));
        component.modified(configured("shrug"));
        assertEquals("disable", offer.properties.get("violation.policy"));
        assertEquals(true, stops(driver));
        assertEquals(
            List.of("error: iommu.pamu: violation.policy=shrug is refused, legal is report or disable; disable stays"),
            framework.lines);
        assertEquals(1, framework.offered().size());
        component.deactivate();
    }

    @Test
    @DisplayName("PAMU: a second bundle offers nothing while the first drives the node, and takes over with what is "
        + "configured by then")
    void standsBy() {
        TestFramework later = new TestFramework();
        PamuComponent second = component(later);
        component.activate(framework.context, configured("report"));
        second.activate(later.context, configured("report"));
        assertEquals(List.of(), later.offers);
        second.modified(configured("disable"));
        assertEquals(List.of(), later.offers);
        component.deactivate();
        assertEquals("disable", later.offers.get(0).properties.get("violation.policy"));
        assertEquals(true, stops((PamuDriver) later.offers.get(0).service));
        assertEquals(true, open(0) && open(1));
        second.deactivate();
        assertEquals(Optional.empty(), driver());
    }

    @Test
    @DisplayName("PAMU: who takes over when the hardware has gone offers nothing, and leaves without a word")
    void hardwareGone() {
        TestFramework later = new TestFramework();
        PamuComponent second = component(later);
        component.activate(framework.context, configured("report"));
        second.activate(later.context, configured("report"));
        board.plugged.close();
        component.deactivate();
        assertEquals(List.of(), later.offers);
        second.deactivate();
        assertEquals(Optional.empty(), driver());
    }

    @Test
    @DisplayName("PAMU: a service that cannot be registered leaves no driver behind: gates closed, memory given "
        + "back, the node free")
    void notRegistered() {
        long[] free = new long[2];
        for (int i = 0; i < 2; i++) {
            framework.refused = Iommu.class;
            assertThrows(IllegalStateException.class,
                () -> component.activate(framework.context, configured("report")));
            assertEquals(List.of(false, false), List.of(open(0), open(1)));
            assertEquals(Optional.empty(), driver());
            free[i] = board.register64(0, 0x00);
        }
        assertNotEquals(0, free[0]);
        assertEquals(free[0], free[1], "the tables lie where those of the first were");
        component.modified(configured("disable"));
        framework.refused = null;
        component.activate(framework.context, configured("disable"));
        assertEquals(1, framework.offered().size());
        component.deactivate();
    }

    @Test
    @DisplayName("PAMU: the driver is closed even if the framework does not let the service go")
    void notUnregistered() {
        component.activate(framework.context, configured("report"));
        framework.inUnregister = () -> {
            throw new IllegalStateException("unregistered already");
        };
        assertThrows(IllegalStateException.class, component::deactivate);
        assertEquals(List.of(false, false), List.of(open(0), open(1)));
        assertEquals(Optional.empty(), driver());
    }
}
