// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.vtd.VtdDriver;
import iommu.vtd.VtdDriverSettings;
import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import java.util.List;
import java.util.Optional;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Node;
import machine.api.PciFunction;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;

/** A PC reduced to the road: memory, one VT-d unit, its driver, and one device, source id 0x10. */
final class VtdBoard {
    static final int SOURCE = 0x10;
    static final Requester REQUESTER = new Requester(SOURCE, "/drhd@fed90000", 1);
    static final long PAGE = 4096;
    private static final long BASE = 0xfed9_0000L;
    private static final String PATH = REQUESTER.unit();

    final LocalMachine machine;
    final VtdUnit unit;
    final VtdDriver driver;

    VtdBoard() {
        Node node = Node.at(PATH).compatible("intel,vt-d").registers(new Node.Range(BASE, 0x1000));
        machine = TestBoard.named("bench").memory(0, 0xc000_0000L).free(0x0100_0000L, 0xa000_0000L).nodes(node)
            .machine();
        unit = new VtdUnit(machine.bus(), VtdSettings.DEFAULT, BASE);
        machine.attach(node, unit.plug(PATH));
        driver = new VtdDriver(machine, List.of(node), VtdDriverSettings.DEFAULT);
    }

    DmaPort port() {
        return machine.openPort(REQUESTER);
    }

    DmaBuffer memory(long size, long alignment) {
        return machine.memory().allocate(size, alignment, DmaMemory.Layout.CONTIGUOUS);
    }

    /** {@return a function that is there and does nothing: a container needs one to choose its IOMMU} */
    PciFunction function() {
        return new Idle();
    }

    private static final class Idle implements PciFunction {
        @Override
        public String name() {
            return "0000:00:02.0";
        }

        @Override
        public Slot slot() {
            throw new UnsupportedOperationException("this function is in no slot");
        }

        @Override
        public Requester requester() {
            return VtdBoard.REQUESTER;
        }

        @Override
        public Optional<Wire> interrupt() {
            return Optional.empty();
        }

        @Override
        public int configSize() {
            return 256;
        }

        @Override
        public long readConfig(int offset, int size) {
            return 0;
        }

        @Override
        public void writeConfig(int offset, int size, long value) {
            // Nothing to configure.
        }

        @Override
        public long barSize(int bar) {
            return 0;
        }

        @Override
        public long readBar(int bar, long offset, int size) {
            return 0;
        }

        @Override
        public void writeBar(int bar, long offset, int size, long value) {
            // No BAR.
        }

        @Override
        public void reset() {
            // Always as after power-up.
        }
    }
}
