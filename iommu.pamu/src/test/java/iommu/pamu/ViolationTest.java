// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Violation;
import iommu.api.Windows;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaPort;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What the driver does when hardware reports a refused access. */
class ViolationTest {
    private final Board board = new Board();
    private final DmaBuffer buffer = board.machine.memory().allocate(0x4000, 0x4000, Layout.CONTIGUOUS);

    private IommuDomain domain(PamuDriver driver) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 0x8000));
        domain.set(new Windows(8));
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        return domain;
    }

    @Test
    @DisplayName("PAMU policy report: the record of each instance, the offender goes on")
    void report() {
        PamuDriver driver = board.driver();
        domain(driver);
        board.write(1, 0x5000);
        board.write(1, 0x6000);
        board.pamu(1).translate(2, 0x9000, 4, Access.READ);
        assertEquals(1, board.level.get());
        List<Violation> records = driver.violations();
        assertEquals(2, records.size());
        assertEquals(new Violation(Board.path(0), 1, 0x5000, Refusal.UNMAPPED, "WAV", "AVS1=0x00010181 AVA=0x5000"),
            records.get(0));
        assertEquals(Board.path(1), records.get(1).unit());
        assertEquals(0x9000, records.get(1).iova());
        assertEquals(0, board.level.get());
        assertEquals(buffer.physical(0), board.write(1, 0));
    }

    private IommuDomain attached(PamuDriver driver, int liodn) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 0x8000));
        domain.set(new Windows(8));
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        domain.attach(Board.at(liodn));
        return domain;
    }

    @Test
    @DisplayName("PAMU policy disable: a record that is read late stops nobody but who did it: not the LIODN's next "
        + "domain")
    void readLate() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        for (boolean close : new boolean[] {true, false}) {
            IommuDomain first = attached(driver, 1);
            IommuDomain beside = attached(driver, 2);
            board.write(1, 0x5000);
            board.pamu(1).translate(2, 0x6000, 4, Access.READ);
            if (close) {
                first.close();
            } else {
                first.detach(Board.at(1));
            }
            IommuDomain second = attached(driver, 1);
            assertEquals(0, board.word(board.register64(0, 0x00) + 64 * 2 + 4) & 1,
                "who did it and is still there is stopped");
            List<Violation> records = driver.violations();
            assertEquals(List.of("WAV, under a domain it has left", "WAV"),
                records.stream().map(Violation::reason).toList());
            assertEquals(
                new Violation(Board.path(0), 1, 0x5000, Refusal.UNMAPPED, "WAV, under a domain it has left",
                    "AVS1=0x00010181 AVA=0x5000"),
                records.get(0));
            assertEquals(buffer.physical(0), board.write(1, 0));
            board.write(1, 0x7000);
            assertEquals("WAV", driver.violations().get(0).reason());
            assertEquals(Refusal.NO_REQUESTER, board.write(1, 0), "what it does itself it answers for");
            second.close();
            beside.close();
            driver.violations();
        }
    }

    @Test
    @DisplayName("PAMU policy disable: what a LIODN did while it had no domain, or none with a mapping, or before "
        + "Enable, stops nobody")
    void readLateByOneself() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        board.write(1, 0x5000);
        IommuDomain domain = attached(driver, 1);
        assertEquals(List.of("LAV, under no domain"), driver.violations().stream().map(Violation::reason).toList());
        assertEquals(buffer.physical(0), board.write(1, 0));

        domain.unmap(0, 0x8000);
        board.write(1, 0);
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        assertEquals(List.of("LAV"), driver.violations().stream().map(Violation::reason).toList());
        assertEquals(buffer.physical(0), board.write(1, 0));
        assertEquals(4, board.register(0, 0xc1c), "nor does it turn reporting off");

        board.write(1, 0x5000);
        domain.set(new Enable(true));
        assertEquals(List.of("WAV, before Enable"), driver.violations().stream().map(Violation::reason).toList());
        assertEquals(buffer.physical(0), board.write(1, 0));
    }

    @Test
    @DisplayName("PAMU policy disable: V of the offender is cleared, of nobody else, until Enable(true)")
    void disable() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        IommuDomain domain = domain(driver);
        board.write(1, 0x5000);
        assertEquals(1, driver.violations().size());
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0));
        assertEquals(buffer.physical(0), board.write(2, 0));
        assertEquals(Refusal.NO_REQUESTER, domain.lookup(0, Access.READ));
        domain.unmap(0, 0x1000);
        domain.map(0, buffer, 0, 0x1000, Access.READ_WRITE);
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0), "mapping does not pardon");
        assertEquals(4, board.register(0, 0xc1c) & 4);

        assertEquals(1, driver.violations().size());
        assertEquals(0, board.register(0, 0xc1c), "erratum A-003638: V was clear, so reporting is off for this unit");
        board.write(1, 0);
        assertEquals(0, board.level.get());
        assertEquals(4, board.register(1, 0xc1c), "and for no other");
        domain.set(new Enable(true));
        assertEquals(buffer.physical(0), board.write(1, 0));
        assertEquals(4, board.register(0, 0xc1c) & 4);
    }

    @Test
    @DisplayName("PAMU policy changed: holds from the next violation on, nobody is detached; who was disabled still "
        + "waits for Enable(true)")
    void change() {
        PamuDriver driver = board.driver();
        IommuDomain domain = domain(driver);
        board.write(1, 0x5000);
        assertEquals(1, driver.violations().size());
        driver.change(new PamuSettings(ViolationPolicy.DISABLE));
        assertEquals(buffer.physical(0), board.write(1, 0));
        board.write(1, 0x5000);
        assertEquals(1, driver.violations().size());
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0));
        driver.change(PamuSettings.DEFAULT);
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0));
        assertEquals(1, driver.violations().size());
        domain.set(new Enable(true));
        board.write(1, 0x5000);
        assertEquals(1, driver.violations().size());
        assertEquals(buffer.physical(0), board.write(1, 0));
    }

    @Test
    @DisplayName("PAMU policy disable: an offender beyond the table mutes the unit and breaks nothing")
    void beyond() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        domain(driver);
        board.write(0xffff, 0);
        assertEquals(0xffff, driver.violations().get(0).requester());
        assertEquals(0, board.register(0, 0xc1c));
    }

    @Test
    @DisplayName("PAMU policy disable: an offender beyond PPLA mutes the unit, also where a draft or a secondary "
        + "entry lies at its place")
    void beyondIsNoPrimary() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        IommuDomain draft = driver.open();
        draft.set(new Geometry(0, 0x8000));
        draft.set(new Windows(8));
        draft.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        IommuDomain domain = domain(driver);
        int secondaries = (int) (board.register64(0, 0x10) - board.register64(0, 0x00)) / 64;
        for (int liodn : new int[] {PamuTables.PRIMARIES, secondaries, secondaries + 7}) {
            assertEquals(1, board.word(board.register64(0, 0x00) + 64L * liodn + 4) & 1, "V of what lies there");
            board.write(liodn, 0);
            assertEquals(liodn, driver.violations().get(0).requester());
            assertEquals(0, board.register(0, 0xc1c));
            for (long iova = 0; iova < 0x4000; iova += 0x1000) {
                assertEquals(buffer.physical(iova), draft.lookup(iova, Access.WRITE));
                assertEquals(buffer.physical(iova), board.write(1, iova));
                assertEquals(buffer.physical(iova), board.write(2, iova));
            }
            domain.set(new Enable(true));
            assertEquals(4, board.register(0, 0xc1c));
        }
    }

    @Test
    @DisplayName("PAMU: a driver that was closed reads no record and keeps nobody waiting")
    void closed() {
        PamuDriver driver = board.driver();
        driver.close();
        board.write(1, 0);
        board.register(0, 0xc1c, 4);
        assertEquals(List.of(), assertTimeoutPreemptively(Duration.ofSeconds(20), driver::violations));
        assertEquals(0x0001_2001, board.register(0, 0x50), "the next driver's");
    }

    @Test
    @DisplayName("PAMU: hardware that has left the machine records nothing")
    void gone() {
        PamuDriver driver = board.driver();
        board.plugged.close();
        assertEquals(List.of(), driver.violations());
        driver.close();
    }

    @Test
    @DisplayName("PAMU: hardware that is taken out while it interrupts leaves its wire low, for whoever comes next")
    void takenOutAsserted() {
        board.plugged.close();
        Attachment plugged = Pamu.attach(board.machine, board.node, PamuModel.DEFAULT);
        domain(board.driver());
        try (DmaPort port = board.port(1)) {
            port.write(0x5000, 4, 1);
        }
        assertEquals(1, board.level.get());
        plugged.close();
        assertEquals(0, board.level.get());
        Pamu.attach(board.machine, board.node, PamuModel.DEFAULT);
        assertEquals(0, board.level.get());
    }

    @Test
    @DisplayName("PAMU: a handler inside an access never waits for an unmap that waits for the access")
    void noDeadlock() {
        PamuDriver driver = new PamuDriver(board.machine, board.node, new PamuSettings(ViolationPolicy.DISABLE));
        IommuDomain domain = domain(driver);
        AtomicInteger reported = new AtomicInteger();
        board.handler = () -> reported.addAndGet(driver.violations().size());
        AtomicBoolean stop = new AtomicBoolean();
        assertTimeoutPreemptively(Duration.ofSeconds(30), () -> {
            Thread[] devices = new Thread[2];
            for (int i = 0; i < devices.length; i++) {
                DmaPort port = board.port(1 + i);
                devices[i] = new Thread(() -> {
                    while (!stop.get()) {
                        port.write(0x5000, 4, 1);
                    }
                });
                devices[i].start();
            }
            for (int i = 0; i < 100 || reported.get() < 20; i++) {
                domain.unmap(0, 0x1000);
                domain.map(0, buffer, 0, 0x1000, Access.READ_WRITE);
                domain.set(new Enable(true));
            }
            stop.set(true);
            for (Thread device : devices) {
                device.join();
            }
        });
    }
}
