// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ConsumerType;

/**
 * A property of a domain apart from its mappings, an immutable value. {@link Geometry}, {@link Windows}, {@link Stash}
 * and {@link Enable} are the known ones; a bundle that adds an IOMMU may add its own records. The container keeps them
 * in its ledger and sets them again, in the order they were set, on a domain that replaces another. Those of a bundle's
 * own it keeps as {@link NamedAttribute}, so that neither their class nor its loader outlives the bundle; the provider
 * that takes over makes its own value of the data, see {@link Iommu#attribute}.
 */
@ConsumerType
public interface DomainAttribute {
    /** {@return what it is called, the same for all its values; a bundle's own begins with the bundle's name} */
    String name();

    /** {@return the value as data: each a Boolean, an Integer, a Long or a String} */
    Map<String, Object> values();
}
