// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One piece of hardware as the machine's description names it: a node of a device tree, a unit of an ACPI table. A
 * value.
 *
 * <p>Every node is a service, so that a driver binds to its hardware as in a kernel, by {@code compatible}:
 * <pre>
 *  &#64;Reference(name = "node", target = "(&amp;(compatible=fsl,pamu)(machine.ready=true))") Node node
 * </pre>
 * Service properties: {@link #COMPATIBLE} (all strings of the node), {@link #PATH}, {@link #BUILT_IN}, and
 * {@link #READY}, true while the hardware answers: a unit is attached to the node, or it is there by itself.
 *
 * <p>Made from the leaves up: {@link #at}, then what it has. Numbers that do not fit what the description says are
 * refused when the machine is read, not here.
 *
 * @param path the full path, unique in the machine, e.g. {@code /soc@ffe000000/pic@40000}
 * @param compatible the {@code compatible} strings, most specific first; empty if there are none
 * @param registers the register ranges as physical addresses, translated through every {@code ranges} on the way up
 * @param interrupts the interrupt specifiers, in order
 * @param properties the raw bytes of each property, numbers big-endian as in a device tree; copied on the way in and
 *     out
 * @param children in order; their paths begin with this one's
 * @param builtIn whether the hardware is there by itself, in another process or as a chip, so that no {@link Unit} can
 *     be plugged in: a bundle with a unit looks at nodes that are not
 */
@ProviderType
public record Node(String path, List<String> compatible, List<Range> registers, List<Wire> interrupts,
    Map<String, byte[]> properties,
        List<Node> children, boolean builtIn) {
    /** Service property, String[]: the {@code compatible} strings. */
    public static final String COMPATIBLE = "compatible";
    /** Service property, String: {@link #path()}. */
    public static final String PATH = "machine.path";
    /** Service property, Boolean: hardware answers at this node. */
    public static final String READY = "machine.ready";
    /** Service property, Boolean: {@link #builtIn()}. */
    public static final String BUILT_IN = "machine.builtin";

    private static final byte[] NOTHING = {};

    /** A piece of the physical address space; size in bytes. */
    public record Range(long physical, long size) {
    }

    /** Copies. */
    public Node {
        Objects.requireNonNull(path);
        compatible = List.copyOf(compatible);
        registers = List.copyOf(registers);
        interrupts = List.copyOf(interrupts);
        properties = copy(properties);
        children = List.copyOf(children);
    }

    /** {@return a node that has nothing but its path} */
    public static Node at(String path) {
        return new Node(path, List.of(), List.of(), List.of(), Map.of(), List.of(), false);
    }

    /** {@return the same with these {@code compatible} strings} */
    public Node compatible(String... strings) {
        return new Node(path, List.of(strings), registers, interrupts, properties, children, builtIn);
    }

    /** {@return the same with these registers} */
    public Node registers(Range... ranges) {
        return new Node(path, compatible, List.of(ranges), interrupts, properties, children, builtIn);
    }

    /** {@return the same with these interrupts} */
    public Node interrupts(Wire... wires) {
        return new Node(path, compatible, registers, List.of(wires), properties, children, builtIn);
    }

    /** {@return the same with these children} */
    public Node children(Node... nodes) {
        return new Node(path, compatible, registers, interrupts, properties, List.of(nodes), builtIn);
    }

    /** {@return the same, but there by itself, or not} */
    public Node builtIn(boolean is) {
        return new Node(path, compatible, registers, interrupts, properties, children, is);
    }

    /** {@return the same with one property more, or another value of it: cells} */
    public Node with(String property, int... cells) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells.length);
        bytes.asIntBuffer().put(cells);
        return with(property, bytes.array());
    }

    /** {@return the same with one property more, or another value of it: a text} */
    public Node with(String property, String text) {
        return with(property, (text + '\0').getBytes(StandardCharsets.ISO_8859_1));
    }

    /** {@return the same with one property more, or another value of it: raw bytes} */
    public Node with(String property, byte[] bytes) {
        Map<String, byte[]> more = new LinkedHashMap<>(properties);
        more.put(property, bytes);
        return new Node(path, compatible, registers, interrupts, more, children, builtIn);
    }

    /** {@return the last element of the path, with its unit address; empty for the root} */
    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    /** {@return whether {@code compatible} contains the string} */
    public boolean compatibleWith(String string) {
        return compatible.contains(string);
    }

    /** {@return a copy} */
    @Override
    public Map<String, byte[]> properties() {
        return copy(properties);
    }

    /** {@return whether the property exists} */
    public boolean has(String property) {
        return properties.containsKey(property);
    }

    /** {@return the property as 32-bit cells; empty if it does not exist. What is more than whole cells is left out} */
    public int[] cells(String property) {
        byte[] value = value(property);
        int[] cells = new int[value.length / 4];
        ByteBuffer.wrap(value).asIntBuffer().get(cells);
        return cells;
    }

    /**
     * {@return the property as text up to its first NUL, a question mark for what is not printable; empty string if it
     * does not exist}
     */
    public String text(String property) {
        byte[] value = value(property);
        int end = 0;
        while (end < value.length && value[end] != 0) {
            end++;
        }
        // Texts end on people's terminals.
        return new String(value, 0, end, StandardCharsets.ISO_8859_1).replaceAll("[^\\x20-\\x7e]", "?");
    }

    /** {@return the raw bytes, a copy; empty if the property does not exist} */
    public byte[] bytes(String property) {
        return value(property).clone();
    }

    private byte[] value(String property) {
        return properties.getOrDefault(property, NOTHING);
    }

    private static Map<String, byte[]> copy(Map<String, byte[]> properties) {
        Map<String, byte[]> copy = new LinkedHashMap<>();
        properties.forEach((name, value) -> copy.put(name, value.clone()));
        return copy;
    }

    /** {@return whether the other is a node with the same path and all else the same} */
    @Override
    public boolean equals(Object other) {
        return this == other || other instanceof Node node && path.equals(node.path) && builtIn == node.builtIn
            && compatible.equals(node.compatible) && registers.equals(node.registers)
            && interrupts.equals(node.interrupts)
            && properties.keySet().equals(node.properties.keySet())
            && properties.entrySet().stream()
                .allMatch(one -> Arrays.equals(one.getValue(), node.properties.get(one.getKey())))
            && children.equals(node.children);
    }

    @Override
    public int hashCode() {
        return path.hashCode();
    }

    /** {@return the path} */
    @Override
    public String toString() {
        return path;
    }
}
