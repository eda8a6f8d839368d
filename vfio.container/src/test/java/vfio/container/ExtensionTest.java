// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Container;
import vfio.api.Extension;
import vfio.api.Vfio;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;

class ExtensionTest {
    private final Board board = Board.pamu();

    /** What a later VFIO may have. */
    private interface Unheard extends Extension<Container> {
    }

    /** The same of a whole VFIO. */
    private interface Undreamt extends Extension<Vfio> {
    }

    @Test
    @DisplayName("a container has Msis and Backends, always the same ones, closed or not; a VFIO has Swaps; neither "
        + "has others")
    void extensions() {
        VfioContainer container = board.container();
        Msis msis = container.as(Msis.class);
        Backends backends = container.as(Backends.class);
        container.close();
        assertSame(msis, container.extension(Msis.class).orElseThrow());
        assertSame(backends, container.extension(Backends.class).orElseThrow());
        assertTrue(container.extension(Unheard.class).isEmpty());
        assertEquals(List.of(), board.vfio.as(Swaps.class).latest());
        assertTrue(board.vfio.extension(Undreamt.class).isEmpty());
    }
}
