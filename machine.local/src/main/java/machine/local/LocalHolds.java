// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.api.Node;
import org.osgi.annotation.versioning.ProviderType;

/** The holds of one machine: a queue of the holder and of those that stand by. */
@ProviderType
public final class LocalHolds implements Holds {
    private static final System.Logger LOG = System.getLogger("machine.local");

    /** The holders and those that stand by, in the order of their arrival. Guards itself. */
    private final List<Entry> queue = new ArrayList<>();

    private final class Entry implements Attachment {
        private final Role role;
        private final Set<String> paths;
        private final String holder;
        private final Supplier<Attachment> take;
        private final Object building = new Object();
        /** Guarded by the queue. */
        private boolean holds;
        // Guarded by building.
        private Attachment built;
        private boolean ended;

        Entry(Role role, Collection<Node> nodes, String holder, Supplier<Attachment> take) {
            this.role = role;
            this.paths = nodes.stream().map(Node::path).collect(Collectors.toSet());
            this.holder = holder;
            this.take = take;
        }

        private void build() {
            synchronized (building) {
                if (!ended) {
                    built = take.get();
                }
            }
        }

        @Override
        public void close() {
            Attachment mine;
            synchronized (building) {
                if (ended) {
                    return;
                }
                ended = true;
                mine = built;
                built = null;
            }
            try {
                if (mine != null) {
                    mine.close();
                }
            } finally {
                leave(this);
            }
        }
    }

    @Override
    public Attachment take(Role role, Collection<Node> nodes, String holder, Supplier<Attachment> take) {
        Entry entry = new Entry(role, nodes, holder, take);
        ErrnoException busy;
        synchronized (queue) {
            busy = busy(entry);
            entry.holds = busy == null;
            queue.add(entry);
        }
        if (busy != null) {
            LOG.log(System.Logger.Level.WARNING, holder + " stands by: " + busy.getMessage());
            return entry;
        }
        try {
            entry.build();
        } catch (RuntimeException | Error e) {
            leave(entry);
            throw e;
        }
        return entry;
    }

    @Override
    public Optional<String> holder(Role role, Node node) {
        synchronized (queue) {
            return queue.stream()
                .filter(entry -> entry.holds && entry.role == role && entry.paths.contains(node.path()))
                .map(entry -> entry.holder).findFirst();
        }
    }

    private ErrnoException busy(Entry wants) {
        for (Entry entry : queue) {
            for (String path : entry.paths) {
                if (entry.holds && entry.role == wants.role && wants.paths.contains(path)) {
                    return new ErrnoException(Errno.EBUSY,
                        "%s is held by %s as its %s; stop that bundle, and this one takes over", path,
                        entry.holder, entry.role == Role.UNIT ? "hardware" : "driver");
                }
            }
        }
        return null;
    }

    /** A node was released: the next one that can takes over. */
    private void leave(Entry gone) {
        synchronized (queue) {
            queue.remove(gone);
        }
        for (Entry next = next(); next != null; next = next()) {
            LOG.log(System.Logger.Level.INFO, next.holder + " takes over");
            try {
                next.build();
            } catch (Throwable e) {
                ForeignCode.failed(next.holder + ", which took over,", next.take, e);
                synchronized (queue) {
                    queue.remove(next);
                }
            }
        }
    }

    private Entry next() {
        synchronized (queue) {
            for (Entry entry : queue) {
                if (!entry.holds && busy(entry) == null) {
                    entry.holds = true;
                    return entry;
                }
            }
            return null;
        }
    }
}
