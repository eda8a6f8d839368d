// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;

/**
 * The layout of a container's addresses: its windows if it has some, else its mappings. Every picture is made from it.
 * While its IOMMU is away, the mappings are what the container holds; nothing passes then, and {@link Container#state}
 * says so.
 */
record Layout(Geometry geometry, int windows, List<Row> rows) {
    /** The use of one row of the layout. */
    enum Use { MEMORY, DOORBELL, DISABLED }

    /**
     * One window, or one mapping where there are no windows.
     *
     * @param physical where it leads, -1 if nowhere
     * @param size bytes that answer, 0 if none
     */
    record Row(int index, long iova, long span, long physical, long size, int access, Use use, String text) {
    }

    static Layout of(Container container) {
        if (container.iommu().isEmpty()) {
            return new Layout(new Geometry(0, 0), 0, List.of());
        }
        if (container.state() == ContainerState.ACTIVE) {
            try {
                return container.info().capabilities().windowed() ? windowed(container) : paged(container);
            } catch (ErrnoException e) {
                // Its IOMMU may go at any moment.
                if (e.errno() != Errno.EAGAIN) {
                    throw e;
                }
            }
        }
        // What a container holds is known while its IOMMU is away; how the tables are cut is not.
        return paged(container);
    }

    private static Layout windowed(Container container) {
        Geometry geometry = container.get(Geometry.class);
        int windows = container.get(Windows.class).count();
        List<Row> rows = new ArrayList<>();
        for (int i = 0; i < windows; i++) {
            long span = geometry.size() / windows;
            rows.add(window(container, i, geometry.start() + i * span, span));
        }
        return new Layout(geometry, windows, rows);
    }

    private static Row window(Container container, int index, long iova, long span) {
        for (Mapping mapping : container.mappings()) {
            if (iova >= mapping.iova() && iova <= mapping.end()) {
                long physical = mapping.buffer().physical(mapping.offset() + iova - mapping.iova());
                return new Row(index, iova, span, physical, Math.min(span, mapping.end() - iova + 1), mapping.access(),
                    Use.MEMORY, "memory");
            }
        }
        for (MsiPlacement placement : placements(container)) {
            if (placement.iova() == iova) {
                return doorbell(container, index, placement, span);
            }
        }
        return new Row(index, iova, span, -1, 0, 0, Use.DISABLED, "disabled");
    }

    private static Layout paged(Container container) {
        List<Row> rows = new ArrayList<>();
        for (Mapping mapping : container.mappings()) {
            rows.add(new Row(rows.size(), mapping.iova(), mapping.length(), mapping.buffer().physical(mapping.offset()),
                mapping.length(), mapping.access(), Use.MEMORY, "memory"));
        }
        for (MsiPlacement placement : placements(container)) {
            rows.add(doorbell(container, rows.size(), placement, placement.length()));
        }
        rows.sort((a, b) -> Long.compareUnsigned(a.iova(), b.iova()));
        return new Layout(new Geometry(0, 0), 0, rows);
    }

    private static List<MsiPlacement> placements(Container container) {
        return container.extension(Msis.class).map(Msis::placements).orElse(List.of());
    }

    private static Row doorbell(Container container, int index, MsiPlacement placement, long span) {
        return new Row(index, placement.iova(), span, container.lookup(placement.iova(), Access.WRITE),
            placement.length(), Access.WRITE, Use.DOORBELL, "msi bank " + placement.bank());
    }
}
