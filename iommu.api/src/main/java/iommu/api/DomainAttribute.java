// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ConsumerType;

/**
 * A property of a domain apart from its mappings, an immutable value. {@link Geometry}, {@link Windows}, {@link Stash}
 * and {@link Enable} are the known ones; a bundle that adds an IOMMU type may add its own records. The container keeps
 * them in its ledger and sets them again, in the order they were set, on a domain that replaces another.
 */
@ConsumerType
public interface DomainAttribute {
}
