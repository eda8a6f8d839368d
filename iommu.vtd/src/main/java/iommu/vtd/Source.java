// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/**
 * A requester as VT-d knows it: a context entry of one unit. The same source id behind two units, as with two PCI
 * segments, is two requesters.
 *
 * @param id 16 bits: bus, device, function
 */
record Source(Drhd unit, int id) {
    @Override
    public String toString() {
        return String.format("0x%x of %s", id, unit.path());
    }
}
