// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The parts that a hardware model plugs into the machine in one step, see {@link Machine#attach}. A node that is
 * {@linkplain Node#builtIn built in} takes none. The wires that it drives are its owner's, who closes them afterwards
 * ({@link Machine#line}).
 *
 * @param windows its register windows
 * @param translations its translation units, by the path of the node of each instance: what {@link Requester#unit} says
 *     of the requesters behind it, which may be a child of the node that the unit is attached to; empty if it is no
 *     IOMMU
 * @param inputs its interrupt inputs; {@link InterruptInputs#NONE} if it is no interrupt controller
 */
@ProviderType
public record Unit(List<Window> windows, Map<String, TranslationUnit> translations, InterruptInputs inputs) {
    /** @param size bytes */
    public record Window(long physical, long size, Mmio mmio) {
    }

    /** Copies. */
    public Unit {
        windows = List.copyOf(windows);
        translations = Map.copyOf(translations);
        Objects.requireNonNull(inputs);
    }
}
