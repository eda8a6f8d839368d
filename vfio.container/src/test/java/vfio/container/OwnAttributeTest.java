// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static vfio.container.Board.refused;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.NamedAttribute;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.List;
import java.util.Map;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerState;
import vfio.api.swap.Backends;

/** An attribute of a provider's own survives the update of its bundle: the class is another one then. */
@Timeout(30)
class OwnAttributeTest {
    /** Loaded twice, as by two revisions of a bundle. */
    public record Colour(int hue) implements DomainAttribute {
        @Override
        public String name() {
            return "fake.colour";
        }

        @Override
        public Map<String, Object> values() {
            return Map.of("hue", hue);
        }
    }

    private final Board board = Board.type1();

    /** {@return the class as another revision of the bundle has it} */
    @SuppressWarnings("unchecked")
    private static Class<? extends DomainAttribute> revision() throws ClassNotFoundException {
        URL[] here = {OwnAttributeTest.class.getProtectionDomain().getCodeSource().getLocation()};
        ClassLoader loader = new URLClassLoader(here, OwnAttributeTest.class.getClassLoader()) {
            @Override
            protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
                return name.equals(Colour.class.getName()) ? findClass(name) : super.loadClass(name, resolve);
            }
        };
        return (Class<? extends DomainAttribute>) loader.loadClass(Colour.class.getName());
    }

    private static DomainAttribute colour(Class<? extends DomainAttribute> revision, int hue) {
        try {
            return revision.getConstructor(int.class).newInstance(hue);
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(e);
        }
    }

    private static FakeIommu provider(Board board, Class<? extends DomainAttribute> revision) {
        FakeIommu provider = new FakeIommu(false, board.bus, board.trip);
        provider.attribute = revision;
        provider.made = data -> colour(revision, (Integer) data.values().get("hue"));
        return provider;
    }

    @Test
    @DisplayName("a bundle's own attribute is set again, as the new revision's value, after the bundle was replaced")
    void survives() throws Exception {
        Class<? extends DomainAttribute> first = revision();
        Class<? extends DomainAttribute> second = revision();
        board.vfio.removeIommu(board.iommu);
        FakeIommu old = provider(board, first);
        board.vfio.addIommu(old, "type1");
        VfioContainer container = board.container();
        container.set(colour(first, 7));
        container.set(new Enable(true));
        assertEquals(7, container.get(first).values().get("hue"));

        board.vfio.removeIommu(old);
        assertEquals(ContainerState.BLOCKED, container.state());
        board.vfio.addIommu(provider(board, second), "type1");
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        assertEquals(7, assertInstanceOf(second, container.get(second)).values().get("hue"));
        container.set(colour(second, 9));
        assertEquals(9, container.get(second).values().get("hue"));
    }

    @Test
    @DisplayName("the ledger keeps a bundle's own attribute as data, and so neither its class nor its loader")
    void data() throws Exception {
        Class<? extends DomainAttribute> first = revision();
        vfio.container.state.Ledger ledger = new vfio.container.state.Ledger();
        ledger.set(colour(first, 7));
        ledger.set(new Enable(false));
        assertEquals(List.of(new NamedAttribute("fake.colour", Map.of("hue", 7)), new Enable(false)),
            ledger.attributes());
        ledger.set(colour(revision(), 8));
        assertEquals(List.of(new NamedAttribute("fake.colour", Map.of("hue", 8)), new Enable(false)),
            ledger.attributes());
    }

    @Test
    @DisplayName("a provider that does not know the attribute does not take over: ENOTTY, naming it")
    void unknown() throws Exception {
        Class<? extends DomainAttribute> first = revision();
        board.vfio.removeIommu(board.iommu);
        FakeIommu old = provider(board, first);
        board.vfio.addIommu(old, "type1", "the first", 1);
        VfioContainer container = board.container();
        container.set(colour(first, 7));
        board.vfio.addIommu(new FakeIommu(false, board.bus, board.trip), "type1", "the second", 0);
        refused(Errno.ENOTTY, "fake.colour", () -> container.as(Backends.class).swap("type1"));
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(7, container.get(first).values().get("hue"));
    }
}
