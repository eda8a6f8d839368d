// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A way in which users of VFIO drive an IOMMU: the name that {@code setIommu} takes, and the rules that come with it. A
 * provider says which ones its hardware can be driven by ({@link IommuCapabilities#types}); different hardware may
 * share one.
 *
 * @param name what users ask for, such as {@code type1v2}
 * @param unmap what an unmap of a range takes away
 * @param unmapAll whether UNMAP_DMA has the flag ALL
 * @param vaddrUpdates whether MAP_DMA and UNMAP_DMA have the flag VADDR
 * @param dirtyPages whether written pages are tracked
 */
@ProviderType
public record IommuType(String name, Unmap unmap, boolean unmapAll, boolean vaddrUpdates, boolean dirtyPages) {
    /** The mappings that an unmap of a range removes. */
    public enum Unmap {
        /**
         * A mapping goes as a whole when its first address is in the range; a range that starts inside a mapping takes
         * nothing.
         */
        FIRST_ADDRESS,
        /** Whole mappings; a range that would cut one is refused. */
        WHOLE_MAPPINGS,
        /** Whole windows; a mapping of several windows may be cut between them. For windowed IOMMUs alone. */
        WHOLE_WINDOWS
    }

    /** Linux's VFIO_TYPE1_IOMMU. */
    public static final IommuType TYPE1 = new IommuType("type1", Unmap.FIRST_ADDRESS, true, true, false);

    /** Linux's VFIO_TYPE1v2_IOMMU. */
    public static final IommuType TYPE1V2 = new IommuType("type1v2", Unmap.WHOLE_MAPPINGS, true, true, true);

    /** @throws IllegalArgumentException for an empty name */
    public IommuType {
        Objects.requireNonNull(unmap);
        if (name.isEmpty()) {
            throw new IllegalArgumentException("an IOMMU type needs a name");
        }
    }
}
