// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class IommuTest {
    @Test
    @DisplayName("vfio.type is a text, or an array or a collection of them; with anything else in it, it names nothing")
    void types() {
        assertEquals(List.of("type1"), Iommu.types("type1"));
        assertEquals(List.of("type1v2", "type1"), Iommu.types(new String[] {"type1v2", "type1"}));
        assertEquals(List.of("type1v2", "type1"), Iommu.types(List.of("type1v2", "type1")));
        assertEquals(List.of(), Iommu.types(null));
        assertEquals(List.of(), Iommu.types(""));
        assertEquals(List.of(), Iommu.types(1));
        assertEquals(List.of(), Iommu.types(List.of("type1", 1)));
        assertEquals(List.of(), Iommu.types(new String[] {"type1", ""}));
    }
}
