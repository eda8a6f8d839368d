// SPDX-License-Identifier: Apache-2.0
package machine.osgi;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Dictionary;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.api.Machines;
import machine.api.Node;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicy;

/** Loads a machine and publishes it; see {@link Machines}. */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = "objectClass:List<String>=\"machine.api.Machine\"")
@Capability(namespace = "osgi.service", effective = "active",
    attribute = "objectClass:List<String>=\"machine.api.Node\"")
@Component(immediate = true)
public final class MachinesComponent implements Machines {
    private static final long LARGEST_FILE = 16L << 20;

    private final BundleContext context;
    private final List<MachineSource> sources = new CopyOnWriteArrayList<>();

    // Guarded by this.
    private Attachment listener;
    private ServiceRegistration<Machine> published;

    // Written under this, read by threads that plug a unit in.
    private volatile Machine machine;
    private final Map<String, ServiceRegistration<Node>> nodes = new ConcurrentHashMap<>();

    /** Built by Declarative Services. */
    @Activate
    public MachinesComponent(BundleContext context) {
        this.context = context;
    }

    @Reference(name = "source", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addSource(MachineSource source) {
        sources.add(source);
    }

    void removeSource(MachineSource source) {
        sources.remove(source);
    }

    @Deactivate
    void deactivate() {
        unload();
    }

    @Override
    public synchronized Machine load(String locator, Map<String, String> options) {
        if (machine != null) {
            throw new ErrnoException(Errno.EBUSY, "machine %s is loaded; unload it first", machine.model());
        }
        Optional<byte[]> file = content(locator);
        byte[] content = file.orElse(new byte[0]);
        MachineSource source = sources.stream().filter(candidate -> candidate.recognises(locator, content)).findFirst()
            .orElseThrow(() -> file.isEmpty() ? new ErrnoException(Errno.ENOENT, "there is no file %s", locator)
                : new ErrnoException(Errno.EINVAL, "%s is not one of what is read here: %s", locator,
                    sources.stream().map(MachineSource::reads).toList()));
        Machine fresh;
        try {
            fresh = source.open(locator, content, options);
        } catch (ErrnoException e) {
            throw new ErrnoException(e.errno(), e, "%s: %s", locator, e.reason());
        }
        publish(fresh);
        return fresh;
    }

    @Override
    public synchronized Optional<Machine> machine() {
        return Optional.ofNullable(machine);
    }

    @Override
    public synchronized void unload() {
        if (machine == null) {
            return;
        }
        // Who uses the machine leaves first, and changes nodes' readiness while it does.
        published.unregister();
        listener.close();
        new ArrayList<>(nodes.values()).forEach(ServiceRegistration::unregister);
        nodes.clear();
        Machine gone = machine;
        machine = null;
        gone.close();
    }

    private void publish(Machine fresh) {
        machine = fresh;
        // The machine comes last: its users find its nodes registered.
        for (Node node : fresh.nodes()) {
            nodes.put(node.path(), context.registerService(Node.class, node, properties(node)));
        }
        listener = fresh.onReady(this::ready);
        published = context.registerService(Machine.class, fresh,
            new Hashtable<>(Map.of("machine.model", fresh.model())));
    }

    /** Called by a thread that plugs a unit in, perhaps inside a service event of this component: takes no lock. */
    private void ready(Node node) {
        ServiceRegistration<Node> registration = nodes.get(node.path());
        if (registration != null) {
            registration.setProperties(properties(node));
        }
    }

    private Dictionary<String, Object> properties(Node node) {
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(Node.COMPATIBLE, node.compatible().toArray(String[]::new));
        properties.put(Node.PATH, node.path());
        properties.put(Node.BUILT_IN, node.builtIn());
        Machine loaded = machine;
        properties.put(Node.READY, loaded != null && loaded.ready(node));
        return properties;
    }

    /** {@return the file's content; empty if there is no such file} */
    private static Optional<byte[]> content(String locator) {
        try {
            Path file = Path.of(locator);
            if (!Files.exists(file)) {
                return Optional.empty();
            }
            if (!Files.isRegularFile(file)) {
                throw new ErrnoException(Errno.EINVAL, "%s is not a file", locator);
            }
            if (Files.size(file) > LARGEST_FILE) {
                throw new ErrnoException(Errno.EINVAL, "%s has %d bytes; no description of a machine is larger than %d",
                    locator, Files.size(file), LARGEST_FILE);
            }
            return Optional.of(Files.readAllBytes(file));
        } catch (NoSuchFileException | InvalidPathException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new ErrnoException(Errno.EACCES, e, "%s cannot be read: %s", locator, e.getMessage());
        }
    }
}
