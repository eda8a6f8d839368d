// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Unit;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;
import org.junit.jupiter.api.function.Executable;
import vfio.api.Container;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.container.host.ContainerLimits;

/**
 * A machine of fakes: 64 MiB of RAM of which 32 are free, one IOMMU, one interrupt controller with 3 banks of 4
 * vectors, and devices a and b in group 1 (requesters 0x11, 0x12), c in group 2 (requester 0x21).
 */
final class Board {
    static final long MB = 1L << 20;
    static final long BANKS = 0xf0000000L;

    final Trip trip = new Trip();
    final PhysicalBus bus;
    final LocalMachine machine;
    final FakeIommu iommu;
    final FakeController controller;
    final FakeStrategy auto = new FakeStrategy(trip, true, 0x0800_0000, 0x0080_0000);
    final FakeStrategy manual = new FakeStrategy(trip, false, 0, 0);
    final VfioService vfio;
    final String kind;
    final FakeFunction a;
    final FakeFunction b;
    final FakeFunction c;
    final DmaPort portA;
    /** Runs inside every refused access, before the service hears of it. */
    volatile Runnable inFault = () -> {
    };
    private final boolean windowed;
    private volatile FakeIommu acting;

    private Board(boolean windowed, ContainerLimits settings) {
        this(windowed, settings, Duration.ofSeconds(5));
    }

    private Board(boolean windowed, ContainerLimits settings, Duration patience) {
        machine = TestBoard.named("bench").memory(0, 64 * MB).free(32 * MB, 32 * MB).machine(patience);
        bus = machine.bus();
        controller = new FakeController(bus, trip, BANKS, 3, 4, 0x40);
        this.windowed = windowed;
        this.kind = windowed ? "pamu" : "type1";
        iommu = newIommu();
        acting = iommu;
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu",
            (requester, iova, length, access) -> acting.translate(requester, iova, length, access)),
            InterruptInputs.NONE));
        machine.onFault(fault -> inFault.run());
        vfio = new VfioService(machine, settings);
        portA = port(0x11, 1);
        a = new FakeFunction("0000:01:00.0", portA.requester(), new Wire(FakeController.PATH, 5, true, "5"), portA);
        b = function("0000:01:00.1", 0x12, 1);
        c = function("0000:02:00.0", 0x21, 2);
        a.wireTo(controller);
        vfio.addFunction(a);
        vfio.addFunction(b);
        vfio.addFunction(c);
        vfio.addIommu(iommu, kind);
        vfio.addController(controller);
        vfio.addStrategy(manual, 0);
    }

    /**
     * As Linux comes, but for the doorbells of {@link FakeController}, which verify nothing and are allowed all the
     * same; devices do not wait over a swap.
     */
    static ContainerLimits settings(int entryLimit, long lockedMemoryLimit) {
        return new ContainerLimits(entryLimit, lockedMemoryLimit, true, Duration.ZERO, Duration.ofSeconds(20));
    }

    static Board pamu() {
        return new Board(true, settings(65_535, ContainerLimits.UNLIMITED));
    }

    static Board pamu(ContainerLimits settings) {
        return new Board(true, settings);
    }

    /** Accesses under way are waited for so long only. */
    static Board impatient(boolean windowed, Duration patience) {
        return new Board(windowed, settings(65_535, ContainerLimits.UNLIMITED), patience);
    }

    static Board type1() {
        return type1(65_535);
    }

    static Board type1(int limit) {
        return type1(settings(limit, ContainerLimits.UNLIMITED));
    }

    static Board type1(ContainerLimits settings) {
        return new Board(false, settings);
    }

    /** Another provider of the same hardware. */
    FakeIommu newIommu() {
        return new FakeIommu(windowed, bus, trip);
    }

    /** The provider that the hardware obeys from now on. */
    void acts(FakeIommu next) {
        acting = next;
    }

    DmaPort port(int requester, int group) {
        return machine.openPort(new Requester(requester, "/iommu", group));
    }

    FakeFunction function(String name, int requester, int group) {
        return function(name, requester, group, "/iommu");
    }

    FakeFunction function(String name, int requester, int group, String unit) {
        DmaPort port = machine.openPort(new Requester(requester, unit, group));
        return new FakeFunction(name, port.requester(), new Wire(FakeController.PATH, requester, true, "x"), port);
    }

    /** A container with group 1 and the IOMMU set; on a PAMU 512 MiB at 0 in 64 windows of 8 MiB. */
    VfioContainer container() {
        return container("one", 1);
    }

    VfioContainer container(String name, int group) {
        Container container = vfio.openContainer(name);
        container.addGroup(vfio.group(group));
        container.setIommu(kind);
        if (windowed) {
            container.set(new Geometry(0, 512 * MB));
            container.set(new Windows(64));
        }
        return (VfioContainer) container;
    }

    DmaBuffer memory(long size) {
        return machine.memory().allocate(size, size, DmaMemory.Layout.CONTIGUOUS);
    }

    DmaBuffer scattered(long size) {
        return machine.memory().allocate(size, 4096, DmaMemory.Layout.SCATTERED);
    }

    /** {@return what a write of that requester reaches} */
    long memoryOf(int requester, long iova) {
        return acting.translate(requester, iova, 4, Access.WRITE);
    }

    static IrqSet msi(EventFd... eventFds) {
        return IrqSet.eventFds(Irq.MSI, 0, eventFds);
    }

    static ErrnoException refused(Errno errno, String text, Executable call) {
        ErrnoException e = assertThrows(ErrnoException.class, call);
        assertEquals(errno, e.errno(), e.getMessage());
        assertTrue(e.getMessage().contains(text), e.getMessage());
        return e;
    }

    static ErrnoException refused(Errno errno, Executable call) {
        return refused(errno, "", call);
    }
}
