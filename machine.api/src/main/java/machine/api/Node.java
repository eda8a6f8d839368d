// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One piece of hardware as the machine's description names it: a node of a device tree, a unit of an ACPI table.
 *
 * <p>Every node is a service, so that a driver binds to its hardware as in a kernel, by {@code compatible}:
 * <pre>
 *  &#64;Reference(name = "node", target = "(&amp;(compatible=fsl,pamu)(machine.ready=true))") Node node
 * </pre>
 * Service properties: {@link #COMPATIBLE} (all strings of the node), {@link #PATH}, {@link #BUILT_IN}, and {@link #READY}, true while
 * the hardware answers: a unit is attached to the node, or it is there by itself.
 *
 * <p>Immutable. Numbers that do not fit what the description says are refused when the machine is read, not here.
 */
@ProviderType
public interface Node {
    /** Service property, String[]: the {@code compatible} strings. */
    String COMPATIBLE = "compatible";
    /** Service property, String: {@link #path()}. */
    String PATH = "machine.path";
    /** Service property, Boolean: hardware answers at this node. */
    String READY = "machine.ready";

    /** Service property, Boolean: {@link #builtIn()}. */
    String BUILT_IN = "machine.builtin";

    /** A piece of the physical address space; size in bytes. */
    record Range(long physical, long size) {
    }

    /** {@return the full path, unique in the machine, e.g. {@code /soc@ffe000000/pic@40000}} */
    String path();

    /** {@return the last element of the path, with its unit address} */
    String name();

    /** {@return the {@code compatible} strings, most specific first; empty if there are none} */
    List<String> compatible();

    /** {@return whether {@code compatible} contains the string} */
    default boolean compatibleWith(String string) {
        return compatible().contains(string);
    }

    /**
     * {@return whether the hardware is there by itself, in another process or as a chip, so that no {@link Unit} can be plugged in: whoever
     * brings one looks at nodes that are not}
     */
    default boolean builtIn() {
        return false;
    }

    /** {@return the register ranges as physical addresses, translated through every {@code ranges} on the way up} */
    List<Range> registers();

    /** {@return the interrupt specifiers, in order} */
    List<Wire> interrupts();

    /** {@return the parent; empty for the root} */
    Optional<Node> parent();

    /** {@return the children in order} */
    List<Node> children();

    /** {@return whether the property exists} */
    boolean has(String property);

    /** {@return the property as 32-bit cells; empty if it does not exist} */
    int[] cells(String property);

    /** {@return the property as text up to its first NUL; empty string if it does not exist} */
    String text(String property);

    /** {@return the raw bytes, a copy; empty if the property does not exist} */
    byte[] bytes(String property);
}
