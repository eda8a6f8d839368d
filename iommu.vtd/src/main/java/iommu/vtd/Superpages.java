// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.DomainAttribute;
import iommu.api.NamedAttribute;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * A domain's use of pages of 2 MiB and 1 GiB. May change at any time; existing mappings stay as they are.
 *
 * @param used mappings use the largest pages that fit
 * @param split an unmap that cuts a superpage splits it; false: it is refused with EINVAL
 */
public record Superpages(boolean used, boolean split) implements DomainAttribute {
    /** The attribute's {@link DomainAttribute#name}. */
    public static final String NAME = "iommu.vtd.superpages";

    /** {@return the value of that data; what is missing is true} */
    static Superpages of(NamedAttribute data) {
        return new Superpages(flag(data, "used"), flag(data, "split"));
    }

    private static boolean flag(NamedAttribute data, String key) {
        Object value = data.values().getOrDefault(key, true);
        if (value instanceof Boolean flag) {
            return flag;
        }
        throw new ErrnoException(Errno.EINVAL, "%s: %s must be true or false", data, key);
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Map<String, Object> values() {
        return Map.of("used", used, "split", split);
    }

    @Override
    public String toString() {
        return (used ? "superpages" : "4 KiB pages") + (split ? ", split on unmap" : ", never split");
    }
}
