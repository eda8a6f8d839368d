// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The switch of a domain's translations. While it is off, every access is refused and mappings stay.
 *
 * @param on true for a fresh domain
 */
@ProviderType
public record Enable(boolean on) implements DomainAttribute {
    @Override
    public String toString() {
        return on ? "enabled" : "disabled";
    }
}
