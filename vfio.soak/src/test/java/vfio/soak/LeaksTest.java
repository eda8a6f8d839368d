// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Constructor;
import java.util.Map;
import java.util.concurrent.Callable;
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

    /** Loads the search, this test and what is in it again, as a bundle's revision does. */
    private static final class Revision extends ClassLoader {
        Revision() {
            super(LeaksTest.class.getClassLoader());
        }

        /** {@return an object of what this has of a class: another one} */
        Object make(Class<?> type) throws ReflectiveOperationException {
            Constructor<?> constructor = loadClass(type.getName()).getDeclaredConstructor();
            constructor.setAccessible(true);
            assertNotSame(type, constructor.getDeclaringClass());
            return constructor.newInstance();
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith(Leaks.class.getName())) {
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

    /** The search, in a bundle of its own. */
    static final class Search implements Callable<Map<String, Integer>> {
        Search() {
        }

        @Override
        public Map<String, Integer> call() throws Exception {
            Leaks leaks = new Leaks();
            use(leaks);
            return leaks.left().loaders();
        }
    }

    @DisplayName("A class loader that only the JVM's memory of a record's methods holds is not left behind")
    @Test
    void records() throws Exception {
        // The JVM remembers types of the application's own class loader, which has this test, elsewhere.
        assertEquals(Map.of(), ((Callable<?>) new Revision().make(Search.class)).call());
    }

    private static void use(Leaks leaks) throws Exception {
        Revision revision = new Revision();
        ((Runnable) revision.make(Source.class)).run();
        leaks.expectGone("iommu.stranger", revision);
    }
}
