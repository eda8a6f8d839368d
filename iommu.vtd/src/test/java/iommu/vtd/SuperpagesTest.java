// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.NamedAttribute;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class SuperpagesTest {
    @DisplayName("An attribute becomes data and is made of it again; what is missing is true, another type is EINVAL")
    @Test
    void data() {
        for (Superpages each : new Superpages[] {new Superpages(true, true), new Superpages(true, false),
            new Superpages(false, true), new Superpages(false, false)}) {
            assertEquals("iommu.vtd.superpages", each.name());
            assertEquals(each, Superpages.of(new NamedAttribute(each.name(), each.values())));
        }
        assertEquals(new Superpages(true, false),
            Superpages.of(new NamedAttribute(Superpages.NAME, Map.of("split", false))));
        ErrnoException refused = assertThrows(ErrnoException.class,
            () -> Superpages.of(new NamedAttribute(Superpages.NAME, Map.of("used", "yes"))));
        assertEquals(Errno.EINVAL, refused.errno());
        assertTrue(refused.getMessage().contains("used must be true or false"), refused.getMessage());
    }

    @DisplayName("A driver rebuilds the attribute of data that another revision of its bundle wrote")
    @Test
    void rebuilt() {
        Bench bench = new Bench(Bench.with(0, 0, 0, 0));
        try (VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT)) {
            assertEquals(new Superpages(false, true),
                driver.attribute(new NamedAttribute(Superpages.NAME, Map.of("used", false, "split", true))));
            ErrnoException refused = assertThrows(ErrnoException.class,
                () -> driver.attribute(new NamedAttribute("iommu.pamu.stash", Map.of())));
            assertEquals(Errno.ENOTTY, refused.errno());
        }
    }

    @DisplayName("It says in words what it is")
    @Test
    void words() {
        assertEquals("superpages, split on unmap", new Superpages(true, true).toString());
        assertEquals("4 KiB pages, never split", new Superpages(false, false).toString());
    }
}
