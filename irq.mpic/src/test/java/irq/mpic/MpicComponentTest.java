// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.InterruptController;
import irq.api.MsiRequest;
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
class MpicComponentTest {
    /** Where source 0 goes. */
    private static final int DESTINATION = 0x10010;
    private static final int MASKED = 0x8000_0000;

    private final Board board = new Board(2, Board.threeBanks());
    private final TestFramework framework = new TestFramework();
    private final MpicComponent component = component(framework);

    private MpicComponent component(TestFramework of) {
        return new MpicComponent(board.machine, Board.PIC_NODE, of.log);
    }

    private Optional<String> driver() {
        return board.machine.holds().holder(Holds.Role.DRIVER, Board.PIC_NODE);
    }

    private void closed(InterruptController driver) {
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, () -> driver.request(Board.wire(5, 2), () -> {
        })).errno());
        assertEquals(MASKED, board.get(0x10000 + 0x20 * 0xe0) & MASKED, "the first MSI bank's sources are masked");
    }

    @Test
    @DisplayName("MPIC: the service is there with the core in force; it goes first, then the driver, and everything "
        + "is masked")
    void service() {
        component.activate(framework.context, Map.of("irq.kind", "mpic", "core", "1"));
        assertEquals(Optional.of(TestFramework.HOLDER), driver());
        TestFramework.Offer offer = framework.offers.get(0);
        assertEquals(InterruptController.class, offer.type);
        assertEquals(Map.of("irq.kind", "mpic", "core", 1), offer.properties);
        assertEquals(2, board.get(DESTINATION));
        InterruptController driver = (InterruptController) offer.service;
        framework.inUnregister = () -> driver.doorbells().allocate(new MsiRequest(1, List.of(0), () -> {
        }));
        component.deactivate();
        assertEquals(List.of(), framework.offered());
        closed(driver);
        assertEquals(Optional.empty(), driver());
        assertEquals(List.of(), framework.lines);
    }

    @Test
    @DisplayName("MPIC: a core that the machine does not have is one line, and core 0 is used")
    void noSuchCore() {
        component.activate(framework.context, Map.of("core", 2));
        assertEquals(List.of("error: irq.mpic: core=2 is refused, legal is 0..1; the default 0 is used"),
            framework.lines);
        assertEquals(1, board.get(DESTINATION));
        assertEquals(0, framework.offers.get(0).properties.get("core"));
        component.deactivate();
    }

    @Test
    @DisplayName("MPIC: another core is for a driver that starts later, and is said; the same core, or an illegal "
        + "one, changes nothing")
    void modified() {
        component.activate(framework.context, Map.of("core", 1));
        component.modified(Map.of("core", "1"));
        assertEquals(List.of(), framework.lines);
        component.modified(Map.of("core", -1));
        assertEquals(List.of("error: irq.mpic: core=-1 is refused, legal is 0..1; 1 stays"), framework.lines);
        component.modified(Map.of("core", 0));
        assertEquals(
            "warn: the new configuration is for a driver that starts from now on; restart this bundle to start it anew",
            framework.lines.get(1));
        assertEquals(2, board.get(DESTINATION));
        assertEquals(1, framework.offered().size());
        component.deactivate();
    }

    @Test
    @DisplayName("MPIC: a second bundle offers nothing while the first drives the node, and takes over when that "
        + "leaves")
    void standsBy() {
        TestFramework later = new TestFramework();
        MpicComponent second = component(later);
        component.activate(framework.context, Map.of());
        second.activate(later.context, Map.of("core", 1));
        assertEquals(List.of(), later.offers);
        assertEquals(1, board.get(DESTINATION));
        component.deactivate();
        assertEquals(1, later.offered().size());
        assertEquals(2, board.get(DESTINATION));
        second.deactivate();
        assertEquals(Optional.empty(), driver());
    }

    @Test
    @DisplayName("MPIC: who takes over when the hardware has gone offers nothing, and leaves without a word")
    void hardwareGone() {
        TestFramework later = new TestFramework();
        MpicComponent second = component(later);
        component.activate(framework.context, Map.of());
        second.activate(later.context, Map.of());
        board.attachment.close();
        component.deactivate();
        assertEquals(List.of(), later.offers);
        second.deactivate();
        assertEquals(Optional.empty(), driver());
    }

    @Test
    @DisplayName("MPIC: a service that cannot be registered leaves no driver behind: masked, core and node are free")
    void notRegistered() {
        framework.refused = InterruptController.class;
        assertThrows(IllegalStateException.class, () -> component.activate(framework.context, Map.of()));
        assertEquals(MASKED, board.get(0x10000 + 0x20 * 0xe0) & MASKED);
        assertEquals(Optional.empty(), driver());
        framework.refused = null;
        component.activate(framework.context, Map.of());
        assertEquals(1, framework.offered().size());
        component.deactivate();
    }

    @Test
    @DisplayName("MPIC: the driver is closed even if the framework does not let the service go; what a handler "
        + "throws is in the log")
    void notUnregistered() {
        component.activate(framework.context, Map.of());
        InterruptController driver = (InterruptController) framework.offers.get(0).service;
        driver.request(Board.wire(5, 0), () -> {
            throw new IllegalStateException("a bug");
        });
        board.line(5).set(true);
        assertEquals(1, framework.lines.size());
        assertTrue(framework.lines.get(0).startsWith("error: "), framework.lines.get(0));
        assertFalse(board.pin(0));
        framework.inUnregister = () -> {
            throw new IllegalStateException("unregistered already");
        };
        assertThrows(IllegalStateException.class, component::deactivate);
        closed(driver);
        assertEquals(Optional.empty(), driver());
    }
}
