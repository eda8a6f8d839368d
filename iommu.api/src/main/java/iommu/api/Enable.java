// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The switch of a domain's translations. While it is off, every access is refused, and mappings stay and can change.
 * Not every type has it.
 *
 * @param on true for a fresh domain
 */
@ProviderType
public record Enable(boolean on) implements DomainAttribute {
    /** The attribute's {@link DomainAttribute#name}. */
    public static final String NAME = "enable";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Map<String, Object> values() {
        return Map.of("on", on);
    }

    @Override
    public String toString() {
        return on ? "enabled" : "disabled";
    }
}
