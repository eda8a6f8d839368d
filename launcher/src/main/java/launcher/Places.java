// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.LinkedHashSet;
import java.util.Optional;
import java.util.Set;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Slot;

/** Checks whether a machine has a place for a device. */
final class Places {
    private static final int DEVICES = 32;
    private static final int FUNCTIONS = 8;

    private Places() {
    }

    /** {@return why there is no place at all for a device, in one sentence; empty if there is one} */
    static Optional<String> missing(Machine machine) {
        if (machine.slots().isEmpty()) {
            return Optional.of(
                "board " + machine.model() + " has neither a PCIe controller nor a DMA engine to plug a device into");
        }
        Set<String> reasons = new LinkedHashSet<>();
        for (Slot slot : machine.slots()) {
            for (int device = 0; device < DEVICES; device++) {
                for (int function = 0; function < FUNCTIONS; function++) {
                    try {
                        slot.requester(device, function);
                        return Optional.empty();
                    } catch (ErrnoException e) {
                        reasons.add(e.reason());
                    }
                }
            }
        }
        String first = reasons.iterator().next();
        // One reason for all is the machine's: that it has no IOMMU.
        return Optional.of(reasons.size() == 1 ? first
            : machine.model() + " has no place for a device: " + first + ", and so it is with every other place");
    }
}
