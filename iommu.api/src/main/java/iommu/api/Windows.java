// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The number of equal windows the aperture is divided into.
 *
 * @param count number of windows; 0 means not set yet
 */
@ProviderType
public record Windows(int count) implements DomainAttribute {
    @Override
    public String toString() {
        return count + " windows";
    }
}
