// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.List;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The capabilities of an IOMMU by which a container and an MSI strategy decide.
 *
 * @param shape how it translates
 * @param pageSizes bit n set: mappings of 2^n bytes; the lowest bit is the smallest unit of mapping
 * @param apertureStart lowest address the hardware can translate
 * @param apertureEnd highest address the hardware can translate, inclusive, unsigned
 * @param reserved ranges that must not be mapped, by ascending start. One of the kind
 *     {@link ReservedRegion.Kind#MSI} is where messages pass outside translation; without one they are translated like
 *     other writes
 * @param types how users of VFIO drive it, the preferred one first
 */
@ProviderType
public record IommuCapabilities(Shape shape, long pageSizes, long apertureStart, long apertureEnd,
        List<ReservedRegion> reserved, List<IommuType> types) {
    /** The shape of an IOMMU's translation. */
    public sealed interface Shape permits Paged, Windowed {
    }

    /** By tables of pages: any page may be mapped anywhere. */
    public record Paged() implements Shape {
    }

    /**
     * By an aperture that is divided into windows of one size, see {@link Geometry} and {@link Windows}.
     *
     * @param maxWindows largest number of windows, at least 1
     * @param contiguous true if the memory behind one window must be physically contiguous
     */
    public record Windowed(int maxWindows, boolean contiguous) implements Shape {
        /** @throws IllegalArgumentException for less than one window */
        public Windowed {
            if (maxWindows < 1) {
                throw new IllegalArgumentException(maxWindows + " windows: an aperture has at least one");
            }
        }
    }

    /**
     * Copies.
     *
     * @throws IllegalArgumentException for page sizes below 4 KiB or none, for no type, for two of a name, and for a
     *     type that unmaps windows where there are none, or something else where there are
     */
    public IommuCapabilities {
        Objects.requireNonNull(shape);
        reserved = List.copyOf(reserved);
        types = List.copyOf(types);
        if (Long.numberOfTrailingZeros(pageSizes) < 12 || pageSizes == 0) {
            throw new IllegalArgumentException(
                String.format("page sizes 0x%x: nothing below 4 KiB is mapped", pageSizes));
        }
        if (types.isEmpty() || types.stream().map(IommuType::name).distinct().count() != types.size()) {
            throw new IllegalArgumentException("types " + types.stream().map(IommuType::name).toList()
                + ": there must be one, and no two of a name");
        }
        for (IommuType type : types) {
            if (shape instanceof Windowed != (type.unmap() == IommuType.Unmap.WHOLE_WINDOWS)) {
                throw new IllegalArgumentException(type + " does not fit " + shape);
            }
        }
    }

    /** {@return those of a paged IOMMU that is driven as Linux's type1 in both versions; parameters as above} */
    public static IommuCapabilities paged(long pageSizes, long apertureStart, long apertureEnd,
            List<ReservedRegion> reserved) {
        return new IommuCapabilities(new Paged(), pageSizes, apertureStart, apertureEnd, reserved,
            List.of(IommuType.TYPE1V2, IommuType.TYPE1));
    }

    /**
     * {@return those of a windowed IOMMU with one type, which has no flags; its messages pass a window like other
     * writes}
     */
    public static IommuCapabilities windowed(String type, long pageSizes, int maxWindows, boolean contiguous,
            long apertureStart, long apertureEnd) {
        return new IommuCapabilities(new Windowed(maxWindows, contiguous), pageSizes, apertureStart, apertureEnd,
            List.of(), List.of(new IommuType(type, IommuType.Unmap.WHOLE_WINDOWS, false, false, false)));
    }

    /** {@return whether translation is an aperture divided into windows; otherwise it is paged} */
    public boolean windowed() {
        return shape instanceof Windowed;
    }

    /** {@return the largest number of windows; 0 if paged} */
    public int maxWindows() {
        return shape instanceof Windowed windowed ? windowed.maxWindows() : 0;
    }

    /** {@return whether the memory behind one window must be physically contiguous; false if paged} */
    public boolean contiguous() {
        return shape instanceof Windowed windowed && windowed.contiguous();
    }

    /** {@return the smallest mapping in bytes} */
    public long smallestPage() {
        return Long.lowestOneBit(pageSizes);
    }
}
