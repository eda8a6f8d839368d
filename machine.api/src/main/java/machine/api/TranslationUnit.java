// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/**
 * The data path of an IOMMU: the hardware that sits between a device and the bus. Stop 2 of the road; before it
 * {@link DmaPort#write}, after it the machine's memory or {@link Mmio#write}.
 *
 * <p>Implemented by the unit half of an IOMMU bundle ({@code iommu.pamu.unit}), which attaches one object per hardware
 * instance to its node ({@link Machine#attach}). There is no control in it: a driver changes what it answers by writing
 * tables and registers, as it would with a chip.
 *
 * <p>Called by any number of device threads at once. Must not block, take a lock or allocate on the good branch. A
 * table entry may change while it is read, but not within an aligned 8 bytes ({@link Bus}): a writer stores what an
 * entry's valid bit vouches for first and the bit last, and a reader reads the bit first. A torn entry leads nowhere.
 *
 * <p>Hardware that nobody has set up refuses everything. Once it is, an attached requester gets {@link
 * Refusal#OUTSIDE}, {@link Refusal#UNMAPPED} or {@link Refusal#DENIED} where its domain has nothing for it.
 */
@FunctionalInterface
@ConsumerType
public interface TranslationUnit {
    /** The unit of a requester whose unit is missing: it refuses everything. */
    TranslationUnit NONE = (requester, iova, length, access) -> Refusal.BLOCKED;

    /**
     * Translates one bus request.
     *
     * @param requester the requester id on the bus: a LIODN, a PCI source id
     * @param iova address as the device put it on the bus, unsigned
     * @param length bytes, 1..4096; the range does not cross a 4 KiB boundary (a PCIe request never does), so it
     *     lies in one page: no unit has smaller ones
     * @param access {@link Access#READ} or {@link Access#WRITE}
     * @return the physical address of the first byte (the range is contiguous), or a negative {@link Refusal}
     */
    long translate(int requester, long iova, int length, int access);
}
