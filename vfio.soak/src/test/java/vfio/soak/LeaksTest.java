// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class LeaksTest {
    /** What a bundle has: a record of which a component is of the bundle's own type. */
    record Source(Unit unit, String name) implements Runnable {
        Source() {
            this(new Unit(), "a");
        }

        /** Uses the methods that the JVM makes for it. */
        @Override
        public void run() {
            assertEquals(this, new Source(unit, "a"));
            assertEquals(hashCode(), new Source(unit, "a").hashCode());
            assertEquals(toString(), new Source(unit, "a").toString());
        }
    }

    /** The bundle's own type. */
    static final class Unit {
    }

    /** Loads this test and what is in it again, as a bundle's revision does. */
    private static final class Revision extends ClassLoader {
        Revision() {
            super(LeaksTest.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith(LeaksTest.class.getName())) {
                return super.loadClass(name, resolve);
            }
            Class<?> loaded = findLoadedClass(name);
            if (loaded != null) {
                return loaded;
            }
            try (InputStream in = getParent().getResourceAsStream(name.replace('.', '/') + ".class")) {
                byte[] bytes = in.readAllBytes();
                return defineClass(name, bytes, 0, bytes.length);
            } catch (IOException e) {
                throw new ClassNotFoundException(name, e);
            }
        }
    }

    @DisplayName("A class loader that only the JVM's memory of a record's methods holds is not left behind")
    @Test
    void records() throws Exception {
        Leaks leaks = new Leaks();
        use(leaks);
        assertEquals(Map.of(), leaks.left().loaders());
    }

    private static void use(Leaks leaks) throws Exception {
        Revision revision = new Revision();
        Constructor<?> constructor = revision.loadClass(Source.class.getName()).getDeclaredConstructor();
        constructor.setAccessible(true);
        Runnable source = (Runnable) constructor.newInstance();
        assertNotSame(Source.class, source.getClass());
        source.run();
        leaks.expectGone("iommu.stranger", revision);
    }
}
