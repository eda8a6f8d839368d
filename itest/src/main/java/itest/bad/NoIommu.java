// SPDX-License-Identifier: Apache-2.0
package itest.bad;

import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import machine.api.Wire;

/** A provider that says it can do everything and opens no domain. */
public final class NoIommu implements Iommu {
    /** The error of every attempt to open a domain. */
    public static final String WHY = "no domain is ever had here";

    @Override
    public IommuCapabilities capabilities() {
        return IommuCapabilities.windowed("pamu", -1L << 12, 256, true, 0, (1L << 36) - 1);
    }

    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        return List.of();
    }

    @Override
    public boolean serves(Requester requester) {
        return true;
    }

    @Override
    public IommuDomain open() {
        throw new ErrnoException(Errno.ENOSPC, WHY);
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
