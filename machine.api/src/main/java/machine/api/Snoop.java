// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A unit's view of the stores into memory it has cached, for a coherent cache. From {@link Bus#snoop}.
 *
 * <p>A unit takes a {@link #stamp} before it reads its tables, keeps it with what it has found, and serves that for as
 * long as {@link #unchanged} says so: one volatile read. Every store into the ranges makes all earlier stamps worthless
 * <em>before</em> its first byte is there, and none can be had until its last byte is: so a thread that has seen the
 * new bytes, and one that is told of the store after it has returned, is not served the old ones.
 *
 * <p>Thread-safe; nothing here blocks or allocates.
 */
@ProviderType
public interface Snoop extends Attachment {
    /** No stamp. */
    long NONE = -1;
    /** Gives no stamp, ever: the unit does not cache. */
    Snoop NEVER = new Snoop() {
        @Override
        public long stamp() {
            return NONE;
        }

        @Override
        public boolean unchanged(long stamp) {
            return false;
        }

        @Override
        public void close() {
        }
    };

    /**
     * {@return what to keep with what is read after this; {@link #NONE}, and it must not be kept, while a store is
     * under way, before the first {@link Bus#sync} and after the end}
     */
    long stamp();

    /** {@return whether no store has begun since that stamp was taken; false for {@link #NONE}} */
    boolean unchanged(long stamp);

    /** Listens no more: every stamp is worthless from now on. Idempotent. */
    @Override
    void close();
}
