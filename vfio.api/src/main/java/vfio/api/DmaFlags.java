// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The flags of {@link Container#map}, {@link Container#unmap} and {@link Container#dirtyPages}, with the numbers of
 * {@code linux/vfio.h}. Each operation has bits of its own.
 */
@ProviderType
public final class DmaFlags {
    /**
     * MAP_DMA: nothing is mapped; a mapping whose vaddr is invalid gets another buffer for the same memory. Excludes
     * the bits of {@link machine.api.Access}.
     */
    public static final int MAP_VADDR = 4;

    /** UNMAP_DMA: reports the dirty pages of the unmapped ranges. Excludes all other flags. */
    public static final int UNMAP_GET_DIRTY_BITMAP = 1;
    /** UNMAP_DMA: everything; iova and length must be 0. */
    public static final int UNMAP_ALL = 2;
    /** UNMAP_DMA: the mappings stay, and so do the devices' accesses; only their vaddr becomes invalid. */
    public static final int UNMAP_VADDR = 4;

    /** DIRTY_PAGES: tracking begins; harmless if it has begun. */
    public static final int DIRTY_START = 1;
    /** DIRTY_PAGES: tracking ends; harmless if it has ended. */
    public static final int DIRTY_STOP = 2;
    /** DIRTY_PAGES: reports the dirty pages of a range. */
    public static final int DIRTY_GET_BITMAP = 4;

    private DmaFlags() {
    }
}
