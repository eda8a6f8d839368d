// SPDX-License-Identifier: Apache-2.0
package iommu.api;

/**
 * Into how many equal windows the aperture is divided.
 *
 * @param count number of windows; 0 means not set yet
 */
public record Windows(int count) implements DomainAttribute {
    @Override
    public String toString() {
        return count + " windows";
    }
}
