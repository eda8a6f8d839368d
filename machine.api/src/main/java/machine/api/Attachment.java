// SPDX-License-Identifier: Apache-2.0
package machine.api;

/** Something that was attached and can be taken away. */
@FunctionalInterface
public interface Attachment extends AutoCloseable {
    /** Takes it away. The second call does nothing. */
    @Override
    void close();
}
