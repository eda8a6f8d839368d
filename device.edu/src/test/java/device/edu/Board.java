// SPDX-License-Identifier: Apache-2.0
package device.edu;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import machine.api.Fault;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.TranslationUnit;
import machine.api.Unit;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.fixture.TestSlot;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;

/**
 * A bench: 16 MiB of memory at 0, an MSI doorbell page at 0xfe000000, one PCIe slot, and a unit that translates device
 * addresses one to one and refuses what lies in [0x800000, 0x900000) and from 0xff000000 on.
 */
final class Board {
    static final Node.Range RAM = new Node.Range(0, 16 << 20);
    static final long DOORBELL = 0xfe000000L;
    static final Wire WIRE = new Wire("/pic", 7, true, "7 2");

    final List<Fault> faults = Collections.synchronizedList(new ArrayList<>());
    final List<Long> messages = Collections.synchronizedList(new ArrayList<>());
    final List<Long> translated = Collections.synchronizedList(new ArrayList<>());
    final List<Boolean> levels = Collections.synchronizedList(new ArrayList<>());
    final Slot slot = TestSlot.of("pcie0", new Requester(193, "/iommu", 0)).wired(WIRE);
    final LocalMachine machine = TestBoard.named("bench").memory(RAM.physical(), RAM.size()).slots(slot).machine();
    final PhysicalBus bus = machine.bus();
    /** Runs in the doorbell, as an interrupt handler would. */
    volatile Runnable handler = () -> {
    };
    /** Runs in the interrupt input when the wire is asserted. */
    volatile Runnable asserted = () -> {
    };
    /** The unit throws. */
    volatile boolean broken;

    Board() {
        machine.onFault(faults::add);
        TranslationUnit unit = (requester, iova, length, access) -> {
            translated.add(iova);
            if (broken) {
                throw new IllegalStateException("a broken unit");
            }
            return requester != 193 ? Refusal.NO_REQUESTER
                : iova >= 0x800000 && iova < 0x900000 || iova >= 0xff000000L ? Refusal.UNMAPPED : iova;
        };
        Mmio doorbell = new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                messages.add((long) requester << 48 | offset << 40 | (long) size << 32 | value);
                handler.run();
            }
        };
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", unit), (input, asserted) -> {
        }));
        machine.attach(Node.at("/pic"), new Unit(List.of(new Unit.Window(DOORBELL, 4096, doorbell)), Map.of(),
            (input, level) -> {
                levels.add(level && input == 7);
                if (level) {
                    asserted.run();
                }
            }));
    }
}
