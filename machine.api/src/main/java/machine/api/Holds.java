// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Collection;
import java.util.Optional;
import java.util.function.Supplier;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The holders of a machine's nodes: one as their hardware, one as their driver. Further bundles stand by, in the order
 * of their arrival, and take over when the holder leaves, whatever version they are: two drivers of one node would each
 * write its registers. Any thread.
 *
 * <p>A lock for each who takes or stands by is held while what it builds is built; none while it is taken down, or
 * while another one's is.
 */
@ProviderType
public interface Holds {
    /** As what. */
    enum Role {
        /** As the hardware: who attaches a unit. */
        UNIT,
        /** As the software that writes its registers. */
        DRIVER
    }

    /**
     * Takes hold of nodes, or stands by until the holder of one of them has released it. Standing by is logged, with
     * the holder.
     *
     * @param holder what to call the caller in messages: its bundle
     * @param take builds what needs the nodes, and returns what takes it down again. Called once, when all are held:
     *     before this returns, or later on the thread that releases them; the nodes may have ceased to be {@link
     *     Machine#ready} by then, so a driver looks
     * @return takes down the result of building, releases the nodes, and lets the next one take over; or ends standing
     *     by. Idempotent
     * @throws RuntimeException what {@code take} throws before this returns; nothing is held then. What it throws later
     *     is logged, and the next one takes over
     */
    Attachment take(Role role, Collection<Node> nodes, String holder, Supplier<Attachment> take);

    /** {@return who holds the node in that role} */
    Optional<String> holder(Role role, Node node);
}
