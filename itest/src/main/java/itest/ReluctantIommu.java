// SPDX-License-Identifier: Apache-2.0
package itest;

import iommu.api.DomainAttribute;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.IommuType;
import iommu.api.NamedAttribute;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import machine.api.Wire;

/** A provider whose domains are another one's, and which opens none for as long as it does not want to. */
final class ReluctantIommu implements Iommu {
    static final String WHY = "not just now";

    private final Iommu real;
    private volatile boolean unwilling;

    ReluctantIommu(Iommu real, boolean unwilling) {
        this.real = real;
        this.unwilling = unwilling;
    }

    void relent() {
        unwilling = false;
    }

    @Override
    public IommuCapabilities capabilities() {
        IommuCapabilities those = real.capabilities();
        return new IommuCapabilities(those.shape(), those.pageSizes(), those.apertureStart(), those.apertureEnd(),
            those.reserved(),
            List.of(new IommuType(RetryTest.KIND, IommuType.Unmap.WHOLE_WINDOWS, false, false, false)));
    }

    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        return real.reservedRegions(requester);
    }

    @Override
    public boolean serves(Requester requester) {
        return real.serves(requester);
    }

    @Override
    public DomainAttribute attribute(NamedAttribute data) {
        return real.attribute(data);
    }

    @Override
    public IommuDomain open() {
        if (unwilling) {
            throw new ErrnoException(Errno.ENOSPC, WHY);
        }
        return real.open();
    }

    @Override
    public List<Wire> violationWires() {
        return List.of();
    }

    @Override
    public List<Violation> violations() {
        return List.of();
    }
}
