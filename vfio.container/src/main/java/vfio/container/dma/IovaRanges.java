// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiFunction;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;

/**
 * The valid addresses: the checks of MAP_DMA and UNMAP_DMA in VFIO's order, and of an attach. Addresses are unsigned.
 */
public final class IovaRanges {
    private IovaRanges() {
    }

    /** {@return the aperture without what is reserved, by ascending start} */
    public static List<IovaRange> valid(IommuCapabilities capabilities, List<ReservedRegion> reserved) {
        List<IovaRange> ranges = new ArrayList<>();
        long next = capabilities.apertureStart();
        List<ReservedRegion> sorted = reserved.stream()
            .sorted((a, b) -> Long.compareUnsigned(a.start(), b.start())).toList();
        for (ReservedRegion region : sorted) {
            if (Long.compareUnsigned(region.start(), capabilities.apertureEnd()) > 0) {
                break;
            }
            if (Long.compareUnsigned(region.start(), next) > 0) {
                ranges.add(new IovaRange(next, region.start() - 1));
            }
            if (Long.compareUnsigned(region.end(), next) >= 0) {
                next = region.end() + 1;
                if (next == 0) {
                    return ranges;
                }
            }
        }
        if (Long.compareUnsigned(next, capabilities.apertureEnd()) <= 0) {
            ranges.add(new IovaRange(next, capabilities.apertureEnd()));
        }
        return ranges;
    }

    /** MAP_DMA's first checks: flags, alignment, wrap. */
    public static void check(long iova, long offset, long length, int flags, long page) {
        if ((flags & ~(Access.READ_WRITE | DmaFlags.MAP_VADDR)) != 0) {
            throw new ErrnoException(Errno.EINVAL, "flags 0x%x: there are the access READ, WRITE and the flag VADDR",
                flags);
        }
        if ((flags & Access.READ_WRITE) != 0 == ((flags & DmaFlags.MAP_VADDR) != 0)) {
            throw new ErrnoException(Errno.EINVAL, "access 0x%x: give READ, WRITE or both, or else VADDR alone", flags);
        }
        if (length == 0 || ((iova | offset | length) & page - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL,
                "iova 0x%x, offset 0x%x, length 0x%x: all must be multiples of 0x%x and the length positive", iova,
                offset, length, page);
        }
        wrap("iova", iova, length);
        wrap("offset", offset, length);
    }

    /** MAP_DMA's check of the memory: whether there is such. */
    public static void checkMemory(long offset, long length, DmaBuffer buffer) {
        if (offset < 0 || length < 0 || offset > buffer.size() - length) {
            throw new ErrnoException(Errno.EFAULT, "offset 0x%x+0x%x is outside the buffer of 0x%x bytes", offset,
                length, buffer.size());
        }
    }

    /** UNMAP_DMA's checks. */
    public static void checkRange(long iova, long length, long page) {
        if (length == 0 || ((iova | length) & page - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x, length 0x%x: both must be multiples of 0x%x and the "
                + "length positive", iova, length, page);
        }
        wrap("iova", iova, length);
    }

    /** Whether one of the ranges holds it all. */
    public static boolean inside(long iova, long length, List<IovaRange> ranges) {
        long end = iova + length - 1;
        for (IovaRange range : ranges) {
            if (Long.compareUnsigned(iova, range.start()) >= 0 && Long.compareUnsigned(end, range.end()) <= 0) {
                return true;
            }
        }
        return false;
    }

    /** @throws ErrnoException EINVAL if it is not {@link #inside} */
    public static void checkInside(long iova, long length, List<IovaRange> ranges) {
        if (!inside(iova, length, ranges)) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x..0x%x is not inside one of the valid ranges %s", iova,
                iova + length - 1,
                ranges.stream().map(range -> String.format("0x%x..0x%x", range.start(), range.end())).toList());
        }
    }

    /** {@return what is reserved in a domain with those requesters, by ascending start} */
    public static List<ReservedRegion> reserved(IommuCapabilities capabilities, Collection<Requester> requesters,
            Set<Requester> relaxed, Iommu provider) {
        Set<ReservedRegion> regions = new TreeSet<>(Comparator.comparing(ReservedRegion::start, Long::compareUnsigned)
            .thenComparing(ReservedRegion::end, Long::compareUnsigned).thenComparing(ReservedRegion::kind));
        regions.addAll(capabilities.reserved());
        requesters.forEach(requester -> regions.addAll(own(requester, relaxed, provider)));
        return List.copyOf(regions);
    }

    /**
     * {@return what a provider says is reserved for a requester; without what firmware wants mapped for it if it can do
     *     without, as Linux leaves direct-relaxable regions to the user}
     */
    public static List<ReservedRegion> own(Requester requester, Set<Requester> relaxed, Iommu provider) {
        List<ReservedRegion> regions = provider.reservedRegions(requester);
        return relaxed.contains(requester)
            ? regions.stream().filter(region -> region.kind() != ReservedRegion.Kind.DIRECT).toList() : regions;
    }

    /**
     * Whether a provider's hardware is what all of them sit behind. Attached to another's domain a device would be let
     * through, or blocked, by tables that nobody here has written.
     *
     * @throws ErrnoException EINVAL for the first who sits behind something else
     */
    public static void checkServed(Collection<Requester> members, Iommu provider) {
        Requester stranger = stranger(members, provider);
        if (stranger != null) {
            throw unserved(stranger);
        }
    }

    /** {@return the first that does not sit behind a provider's hardware; null if all do} */
    public static Requester stranger(Collection<Requester> members, Iommu provider) {
        return members.stream().filter(member -> !provider.serves(member)).findFirst().orElse(null);
    }

    public static ErrnoException unserved(Requester stranger) {
        return new ErrnoException(Errno.EINVAL, "requester 0x%x of group %d sits behind %s, which this IOMMU's "
            + "provider does not drive; put the group into a container of its own, with a provider that "
            + "does", stranger.id(), stranger.group(), stranger.unit());
    }

    /** Whether what is reserved leaves any address to map. */
    public static void checkSomeLeft(IommuCapabilities capabilities, List<ReservedRegion> reserved,
            Collection<Requester> requesters) {
        if (!requesters.isEmpty() && valid(capabilities, reserved).isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "what is reserved for requesters %s leaves no address of "
                + "0x%x..0x%x to map",
                requesters.stream().map(requester -> String.format("0x%x", requester.id())).toList(),
                capabilities.apertureStart(), capabilities.apertureEnd());
        }
    }

    /**
     * Whether a requester for which those regions are reserved may join what is mapped and placed.
     *
     * @param mappings gives the first mapping that touches a range, first address and last, or null
     */
    public static void checkReserved(List<ReservedRegion> regions, Requester requester,
            BiFunction<Long, Long, Mapping> mappings, List<MsiPlacement> placements) {
        // Linux refuses the attach before it looks for conflicts (vfio_iommu_type1_attach_group).
        checkEligible(regions, requester);
        for (ReservedRegion region : regions) {
            Mapping there = mappings.apply(region.start(), region.end());
            if (there != null) {
                throw new ErrnoException(Errno.EINVAL,
                    "the mapping at iova 0x%x touches 0x%x..0x%x, reserved (%s) for requester 0x%x; unmap it first",
                    there.iova(), region.start(), region.end(), region.kind(), requester.id());
            }
            for (MsiPlacement placement : placements) {
                if (Long.compareUnsigned(placement.iova(), region.end()) <= 0
                        && Long.compareUnsigned(placement.iova() + placement.length() - 1, region.start()) >= 0) {
                    throw new ErrnoException(Errno.EINVAL,
                        "MSI bank %d at iova 0x%x touches 0x%x..0x%x, reserved (%s) for requester 0x%x; take it away "
                        + "first",
                        placement.bank(), placement.iova(), region.start(), region.end(), region.kind(),
                        requester.id());
                }
            }
        }
    }

    /**
     * Whether a requester for which those regions are reserved may be in a user's domain at all. It may not if firmware
     * wants memory mapped for it: there it is not, and whatever firmware still has the device do would go astray, or
     * into the user's memory.
     *
     * @throws ErrnoException EPERM, in the words of Linux's intel_iommu_attach_device
     */
    public static void checkEligible(List<ReservedRegion> regions, Requester requester) {
        for (ReservedRegion region : regions) {
            if (region.kind() == ReservedRegion.Kind.DIRECT) {
                throw new ErrnoException(Errno.EPERM, "requester 0x%x is ineligible for IOMMU domain attach due to "
                    + "platform RMRR requirement: firmware wants 0x%x..0x%x mapped for it. Plug the device elsewhere, "
                    + "or, if it can do without, add its class to relaxable.rmrr.classes in the configuration "
                    + "vfio.container", requester.id(), region.start(), region.end());
            }
        }
    }

    private static void wrap(String what, long start, long length) {
        if (Long.compareUnsigned(start + length - 1, start) < 0) {
            throw new ErrnoException(Errno.EINVAL, "%s 0x%x+0x%x wraps around", what, start, length);
        }
    }
}
