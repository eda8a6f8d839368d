// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ProviderType;

/**
 * An attribute as data, whichever class it was, and whether or not that is still there.
 *
 * @param name see {@link DomainAttribute#name}
 * @param values see {@link DomainAttribute#values}
 */
@ProviderType
public record NamedAttribute(String name, Map<String, Object> values) implements DomainAttribute {
    /**
     * Copies.
     *
     * @throws IllegalArgumentException for a value of another class than {@link DomainAttribute#values} has
     */
    public NamedAttribute {
        values = Map.copyOf(values);
        for (Map.Entry<String, Object> each : values.entrySet()) {
            if (!(each.getValue() instanceof Boolean || each.getValue() instanceof Integer
                    || each.getValue() instanceof Long || each.getValue() instanceof String)) {
                throw new IllegalArgumentException(name + ": " + each.getKey() + " is of " + each.getValue().getClass()
                    + "; it must be a Boolean, an Integer, a Long or a String");
            }
        }
    }

    /** {@return the attribute as data} */
    public static NamedAttribute of(DomainAttribute attribute) {
        return attribute instanceof NamedAttribute data ? data
            : new NamedAttribute(attribute.name(), attribute.values());
    }

    @Override
    public String toString() {
        return name + " " + values;
    }
}
