// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/** Something that was attached and can be taken away. */
@ConsumerType
@FunctionalInterface
public interface Attachment extends AutoCloseable {
    /** Takes it away. The second call does nothing. */
    @Override
    void close();
}
