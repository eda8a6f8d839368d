// SPDX-License-Identifier: Apache-2.0
package stress;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import iommu.vtd.VtdDriver;
import iommu.vtd.VtdDriverSettings;
import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import machine.api.Node;
import machine.api.Requester;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;

/**
 * One device behind one IOMMU, with {@link #SLOTS} places to map. A board costs too much to make one for each trial, so
 * the trials of a test share one, and each has a place of its own. Memory lies above 4 GiB: an address of which one
 * word is missing leads elsewhere.
 */
final class Road {
    static final int SLOTS = 256;
    static final long PAGE = 4096;
    private static final long MEMORY = 0x1_0000_0000L;

    private static final class OfPamu {
        private static final Road ROAD = pamuRoad();
    }

    private static final class OfVtd {
        private static final Road ROAD = vtdRoad();
    }

    private final LocalMachine machine;
    private final IommuDomain domain;
    private final DmaPort port;
    private final DmaBuffer buffer;
    private final long stride;
    private final AtomicInteger next = new AtomicInteger();

    private Road(LocalMachine machine, IommuDomain domain, DmaPort port, long stride) {
        this.machine = machine;
        this.domain = domain;
        this.port = port;
        this.stride = stride;
        this.buffer = machine.memory().allocateAt(MEMORY, SLOTS * PAGE);
    }

    /** PAMU: 256 windows. */
    static Road pamu() {
        return OfPamu.ROAD;
    }

    /** VT-d: a place in each GiB, so that each has page tables of its own. */
    static Road vtd() {
        return OfVtd.ROAD;
    }

    /** {@return a place where nothing is mapped; there are fewer trials at a time than places} */
    int place() {
        return next.getAndIncrement() & SLOTS - 1;
    }

    /** {@return a place where a page is mapped that a device has written to before} */
    int mapped() {
        int place = place();
        map(place);
        write(place);
        erase(place);
        return place;
    }

    void map(int place) {
        domain.map(place * stride, buffer, place * PAGE, PAGE, Access.READ_WRITE);
    }

    void unmap(int place) {
        domain.unmap(place * stride, PAGE);
    }

    /** The device writes ones. {@return the status} */
    int write(int place) {
        return port.write(place * stride, 8, -1);
    }

    /** {@return what is in memory behind that place} */
    int memory(int place) {
        return (int) machine.bus().read(buffer.physical(place * PAGE), 8);
    }

    void erase(int place) {
        machine.bus().write(Bus.CPU, buffer.physical(place * PAGE), 8, 0);
    }

    private static Road pamuRoad() {
        long registers = 0xf_fe02_0000L;
        Node instance = Node.at("/iommu/pamu@0").registers(new Node.Range(registers, 0x1000));
        Node node = Node.at("/iommu").compatible("fsl,pamu").registers(new Node.Range(registers, 0x1000))
            .children(instance);
        Node guts = Node.at("/guts").compatible("fsl,qoriq-device-config-1.0")
            .registers(new Node.Range(0xf_fe0e_0000L, 0xe00));
        LocalMachine machine = machine(node, guts);
        machine.attach(node, Pamu.unit(machine, node, PamuModel.DEFAULT));
        IommuDomain domain = new PamuDriver(machine, node, PamuSettings.DEFAULT).open();
        domain.set(new Geometry(0, SLOTS * PAGE));
        domain.set(new Windows(SLOTS));
        Requester requester = new Requester(1, instance.path(), 1);
        domain.attach(requester);
        return new Road(machine, domain, machine.openPort(requester), PAGE);
    }

    private static Road vtdRoad() {
        long registers = 0xfed9_0000L;
        Node node = Node.at("/drhd").compatible("intel,vt-d").registers(new Node.Range(registers, 0x1000));
        LocalMachine machine = machine(node);
        machine.attach(node, new VtdUnit(machine.bus(), VtdSettings.DEFAULT, registers).plug(node.path()));
        IommuDomain domain = new VtdDriver(machine, List.of(node), VtdDriverSettings.DEFAULT).open();
        Requester requester = new Requester(0x10, node.path(), 1);
        domain.attach(requester);
        return new Road(machine, domain, machine.openPort(requester), 1L << 30);
    }

    private static LocalMachine machine(Node... nodes) {
        return TestBoard.named("stress").memory(0, 0x8000_0000L).free(0x10_0000, 0x7000_0000L)
            .memory(MEMORY, 0x8000_0000L)
            .free(MEMORY, 0x8000_0000L).nodes(nodes).machine();
    }
}
