// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The sender of an access on the bus. A device has several names: what its bus calls it, what the IOMMU sees, what the
 * interrupt controller sees. On PAMU and VT-d boards all three are one number; with an SMMU and an ITS, a device tree's
 * maps make three of them.
 *
 * @param id the requester id the IOMMU sees: a LIODN on QorIQ, bus/device/function on x86, a stream id
 * @param unit path of the node of the IOMMU instance this requester sits behind; no unit there means blocked
 * @param group number of the isolation group: devices that hardware cannot tell apart share it
 * @param busId what its bus calls it: bus/device/function on PCI; what {@code id} is where the bus has no number for it
 * @param messageId the requester id that the interrupt controller, and every other register window, sees behind its
 *     writes
 */
@ProviderType
public record Requester(int id, String unit, int group, int busId, int messageId) {
    /** One that has the same number everywhere. */
    public Requester(int id, String unit, int group) {
        this(id, unit, group, id, id);
    }
}
