// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ExtensibleTest {
    /** An extension of things. */
    private interface Wheels extends Extension<Thing> {
    }

    /** Something that has wheels, or has not. */
    private record Thing(String name, Optional<Wheels> wheels) implements Extensible<Thing> {
        @Override
        public <E extends Extension<Thing>> Optional<E> extension(Class<E> extension) {
            return wheels.map(extension::cast);
        }

        @Override
        public String toString() {
            return "thing " + name;
        }
    }

    @Test
    @DisplayName("who cannot do without an extension gets it, or ENOTTY that names whose and which")
    void as() {
        Wheels wheels = new Wheels() {
        };
        assertSame(wheels, new Thing("cart", Optional.of(wheels)).as(Wheels.class));
        Thing sledge = new Thing("sledge", Optional.empty());
        ErrnoException e = assertThrows(ErrnoException.class, () -> sledge.as(Wheels.class));
        assertEquals(Errno.ENOTTY, e.errno());
        assertEquals("thing sledge has no " + Wheels.class.getName() + "; go without, or use a VFIO that has them",
            e.reason());
    }
}
