// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/**
 * A requester's cached aperture: how an address selects a window, and those of its windows that are cached. Its two
 * most recent windows stand in front: a device has one for its data and one for its messages.
 *
 * <p>Concurrency: as {@link Window}; the fields that change are hints, and each window proves itself by its stamp.
 */
final class Aperture {
    /** The first device address. */
    final long base;
    /** WSE: the size of the aperture. */
    final int size;
    /** The same code for a window's size. */
    final int windowSize;
    /** By number. */
    final Window[] windows;
    Window recent;
    Window other;

    /**
     * @param count windows
     * @param window the first one to be cached
     */
    Aperture(long base, int size, int windowSize, int count, Window window) {
        this.base = base;
        this.size = size;
        this.windowSize = windowSize;
        this.windows = new Window[count];
        windows[(int) (window.first - base >>> windowSize >>> 1)] = window;
        recent = window;
        other = window;
    }

    boolean says(long otherBase, int otherSize, int otherWindowSize, int count) {
        return base == otherBase && size == otherSize && windowSize == otherWindowSize && windows.length == count;
    }

    /** {@return the cached window at that address; null if there is none} */
    Window window(long iova) {
        long offset = iova - base;
        return offset >>> size >>> 1 != 0 ? null : windows[(int) (offset >>> windowSize >>> 1)];
    }

    /** Moves a window to the front. */
    void use(Window window) {
        other = recent;
        recent = window;
    }
}
