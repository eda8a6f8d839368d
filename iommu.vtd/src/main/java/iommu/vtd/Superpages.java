// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.DomainAttribute;

/**
 * A domain's use of pages of 2 MiB and 1 GiB. May change at any time; existing mappings stay as they are.
 *
 * @param used mappings use the largest pages that fit
 * @param split an unmap that cuts a superpage splits it; false: it is refused with EINVAL
 */
public record Superpages(boolean used, boolean split) implements DomainAttribute {
    @Override
    public String toString() {
        return (used ? "superpages" : "4 KiB pages") + (split ? ", split on unmap" : ", never split");
    }
}
