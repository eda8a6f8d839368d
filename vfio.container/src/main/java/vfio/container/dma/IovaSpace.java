// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Supplier;
import vfio.api.ContainerInfo.IovaRange;

/**
 * The addresses that a container's user may map: the IOMMU's, without the ranges reserved for its requesters. Kept
 * until {@link #forget}, as a map asks each time. Guarded by the container's lock.
 */
public final class IovaSpace {
    private final Supplier<IommuCapabilities> capabilities;
    private final Supplier<List<ReservedRegion>> reserved;
    /** For the requesters that are attached; null until somebody asks. */
    private List<IovaRange> valid;
    /** The same without what the MSI strategy keeps, and what that was. */
    private List<IovaRange> mappable;
    private List<ReservedRegion> kept;

    /** @param reserved gives what is reserved for the requesters that are attached */
    IovaSpace(Supplier<IommuCapabilities> capabilities, Supplier<List<ReservedRegion>> reserved) {
        this.capabilities = capabilities;
        this.reserved = reserved;
    }

    /** Other requesters are attached, or none, or there is another IOMMU. */
    void forget() {
        valid = null;
        mappable = null;
    }

    /** {@return where anything may be placed, by ascending start} */
    public List<IovaRange> valid() {
        if (valid == null) {
            valid = IovaRanges.valid(capabilities.get(), reserved.get());
        }
        return valid;
    }

    /**
     * {@return where the user may map, by ascending start}
     *
     * @param keeps what is kept from the user beside that
     */
    public List<IovaRange> mappable(List<ReservedRegion> keeps) {
        if (keeps.isEmpty()) {
            return valid();
        }
        if (mappable == null || !keeps.equals(kept)) {
            mappable = IovaRanges.valid(capabilities.get(), reserved(keeps));
            kept = keeps;
        }
        return mappable;
    }

    /**
     * {@return what is reserved for the requesters that are attached, and what is kept beside that, by ascending start}
     */
    public List<ReservedRegion> reserved(List<ReservedRegion> keeps) {
        List<ReservedRegion> regions = reserved.get();
        if (keeps.isEmpty()) {
            return regions;
        }
        List<ReservedRegion> all = new ArrayList<>(regions);
        all.addAll(keeps);
        all.sort(Comparator.comparing(ReservedRegion::start, Long::compareUnsigned));
        return List.copyOf(all);
    }
}
