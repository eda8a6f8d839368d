// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.apic.unit.LapicUnit;
import java.util.List;
import java.util.Map;
import machine.api.Attachment;
import machine.api.DmaPort;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Unit;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;

/** A machine with local APICs, memory at 0, and an IOMMU that lets everything pass. */
public final class Board {
    public static final long RANGE = 0xfee00000L;

    public final LocalMachine machine;
    public final LapicUnit lapics;
    public final Attachment attachment;

    public Board(int cores) {
        this(cores, Node.at("/lapic").compatible("intel,lapic").registers(new Node.Range(RANGE, 0x100000)));
    }

    private Board(int cores, Node lapic) {
        Node iommu = Node.at("/iommu");
        machine = TestBoard.named("bench board").memory(0, 1L << 20).nodes(lapic, iommu).cores(cores).machine();
        machine.attach(iommu,
            new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> iova), InterruptInputs.NONE));
        lapics = new LapicUnit(lapic, machine.cpus());
        attachment = machine.attach(lapic, lapics.unit());
    }

    public Node lapic() {
        return machine.nodes().get(0);
    }

    public DmaPort port(int requester) {
        return machine.openPort(new Requester(requester, "/iommu", 0));
    }

    public int get(int core, int register) {
        return (int) machine.bus().read(RANGE + core * 0x1000L + register, 4);
    }

    public void put(int core, int register, int value) {
        machine.bus().write(RANGE + core * 0x1000L + register, 4, value & 0xffffffffL);
    }

    /** A device's message. */
    public void ring(int address, int data) {
        machine.bus().write(0x10, address & 0xffffffffL, 4, data);
    }

    public void enable() {
        for (int i = 0; i < machine.cpus().size(); i++) {
            put(i, 0xf0, 0x1ff);
        }
    }

    public boolean pin(int core) {
        return machine.cpus().get(core).asserted();
    }
}
