// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * Who speaks on the bus.
 *
 * @param id the requester id the IOMMU sees: a LIODN on QorIQ, bus/device/function on x86
 * @param unit path of the node of the IOMMU instance this requester sits behind; no unit there means blocked
 * @param group number of the isolation group: devices that hardware cannot tell apart share it
 */
@ProviderType
public record Requester(int id, String unit, int group) {
}
