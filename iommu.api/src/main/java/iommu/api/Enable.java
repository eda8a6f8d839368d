// SPDX-License-Identifier: Apache-2.0
package iommu.api;

/**
 * Whether the domain's requesters may access what is mapped. While false everything is refused and mappings stay.
 *
 * @param on true for a fresh domain
 */
public record Enable(boolean on) implements DomainAttribute {
    @Override
    public String toString() {
        return on ? "enabled" : "disabled";
    }
}
