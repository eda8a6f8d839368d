// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One refused access as the hardware recorded it.
 *
 * @param unit path of the node of the instance that refused
 * @param requester the offender as the hardware names it
 * @param iova the address as the hardware recorded it
 * @param refusal the constant of {@link machine.api.Refusal} that comes nearest to the reason: what providers have in
 *     common. Hardware may tell less than a port does, e.g. not whether a page is absent or not for this access
 * @param reason the class of violation in the hardware's terms, e.g. {@code WAV}; if the requester has changed hands
 *     since, with where it was then behind it: {@code WAV, under a domain it has left}
 * @param registers the status registers, e.g. {@code AVS1=0x00c10101 AVA=0x14001000}
 */
@ProviderType
public record Violation(String unit, int requester, long iova, int refusal, String reason, String registers) {
}
