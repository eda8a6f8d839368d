// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Node;
import machine.api.Wire;

/** A hardware node made by hand; {@code properties} hold int[] cells or String texts. */
public record TestNode(String path, List<String> compatible, List<Range> registers, List<Wire> interrupts, List<Node> children,
        Map<String, Object> properties) implements Node {
    public static TestNode of(String path, String compatible, long physical, long size) {
        return new TestNode(path, compatible.isEmpty() ? List.of() : List.of(compatible),
            size == 0 ? List.of() : List.of(new Range(physical, size)), List.of(), List.of(), Map.of());
    }

    TestNode with(Map<String, Object> more) {
        return new TestNode(path, compatible, registers, interrupts, children, more);
    }

    @Override
    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    @Override
    public Optional<Node> parent() {
        return Optional.empty();
    }

    @Override
    public boolean has(String property) {
        return properties.containsKey(property);
    }

    @Override
    public int[] cells(String property) {
        return properties.get(property) instanceof int[] cells ? cells.clone() : new int[0];
    }

    @Override
    public String text(String property) {
        return properties.get(property) instanceof String text ? text : "";
    }

    @Override
    public byte[] bytes(String property) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells(property).length);
        for (int cell : cells(property)) {
            bytes.putInt(cell);
        }
        return bytes.array();
    }

    /** An iommu node with its instances. */
    static TestNode pamu(String path, long physical, int instances, List<Wire> interrupts) {
        List<Node> children = new ArrayList<>();
        for (int i = 0; i < instances; i++) {
            children.add(of(path + "/pamu@" + Integer.toHexString(i * 0x1000), "", physical + i * 0x1000L, 0x1000));
        }
        return new TestNode(path, List.of("fsl,pamu-v1.0", "fsl,pamu"), List.of(new Range(physical, instances * 0x1000L)),
            interrupts, children, Map.of());
    }
}
