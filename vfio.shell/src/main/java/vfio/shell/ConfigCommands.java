// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.IOException;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Dictionary;
import java.util.Hashtable;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.service.command.Descriptor;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;

/**
 * The command {@code vfio:config}: lists and sets every configuration that a bundle describes. It needs no machine:
 * values set before one is loaded hold when it is.
 */
@Component(service = ConfigCommands.class, property = {"osgi.command.scope=vfio", "osgi.command.function=config",
    "osgi.command.function=configurable",
    "gantry.command.looks=config", "gantry.command.group=to set up: config configurable",
    "gantry.command.completes=config (configurable) (configurable) (configurable)",
    "gantry.command.completes=configurable (configurable) (configurable)"})
public final class ConfigCommands {
    private static final String DEFAULT = "default";
    private static final int WIDTH = 76;

    /** The keys of one PID. */
    private record Target(String pid, Metatype metatype) {
    }

    private final ConfigurationAdmin configurations;
    private final Delivery delivery;
    private final Supplier<List<Metatype>> described;

    /** Built by Declarative Services. */
    @Activate
    public ConfigCommands(BundleContext context,
        @Reference(name = "configurations") ConfigurationAdmin configurations) {
        this(configurations, () -> Delivery.await(context, configurations), () -> Metatype.of(context));
    }

    ConfigCommands(ConfigurationAdmin configurations, Delivery delivery, Supplier<List<Metatype>> described) {
        this.configurations = configurations;
        this.delivery = delivery;
        this.described = described;
    }

    @Descriptor("list what can be configured, show it, or set it")
    public String config() throws IOException {
        Table table = new Table("PID", "set", "what");
        List<Target> targets = targets();
        for (Target target : targets) {
            Dictionary<String, Object> stored = stored(target);
            table.row(target.pid,
                target.metatype.attributes().stream().filter(one -> stored.get(one.key()) != null).count(),
                target.metatype.name());
        }
        described.get().stream().filter(Metatype::factory)
            .filter(one -> targets.stream().noneMatch(target -> target.metatype.equals(one)))
            .forEach(one -> table.row(one.pid(), "", one.name() + ", one for each; there is none"));
        return table.toString();
    }

    @Descriptor("show the keys of one configuration, their values, and what is legal; or set one, as PID.KEY=VALUE")
    public String config(@Descriptor("PID, or PID.KEY=VALUE") String pid) throws IOException, InterruptedException {
        int equals = pid.indexOf('=');
        if (equals >= 0) {
            return assign(pid.substring(0, equals), pid.substring(equals + 1));
        }
        Target target = target(pid);
        Dictionary<String, Object> stored = stored(target);
        StringBuilder text = new StringBuilder(String.format("%s: %s%n", target.pid, target.metatype.description()));
        target.metatype.attributes().forEach(one -> text.append(show(one, stored)));
        return text.toString();
    }

    @Descriptor("show one key of a configuration, its value, and what is legal")
    public String config(@Descriptor("PID") String pid, @Descriptor("key") String key) throws IOException {
        Target target = target(pid);
        return show(target.metatype.attribute(key), stored(target));
    }

    @Descriptor("set one key of a configuration; 'default' forgets what was set")
    public String config(@Descriptor("PID") String pid, @Descriptor("key") String key,
        @Descriptor("value, or default") String value)
            throws IOException, InterruptedException {
        Target target = target(pid);
        Metatype.Attribute attribute = target.metatype.attribute(key);
        Configuration configuration = configurations.getConfiguration(target.pid, "?");
        Dictionary<String, Object> properties = configuration.getProperties();
        if (properties == null) {
            properties = new Hashtable<>();
        }
        boolean forgets = value.equals(DEFAULT) && !attribute.options().contains(DEFAULT);
        if (forgets) {
            properties.remove(key);
        } else {
            properties.put(key, attribute.parse(value));
        }
        configuration.update(properties);
        delivery.await();
        return String.format("%s %s is %s: %s", target.pid, key, value(attribute, properties), attribute.description());
    }

    @Descriptor("the PIDs that can be configured")
    public List<String> configurable() throws IOException {
        return new ArrayList<>(targets().stream().map(Target::pid).toList());
    }

    @Descriptor("the keys of one configuration")
    public List<String> configurable(@Descriptor("PID") String pid) throws IOException {
        return new ArrayList<>(target(pid).metatype.attributes().stream().map(Metatype.Attribute::key).toList());
    }

    @Descriptor("values that one key of a configuration can have: all, if they are few, else its own and its limits")
    public List<String> configurable(@Descriptor("PID") String pid, @Descriptor("key") String key) throws IOException {
        Target target = target(pid);
        Metatype.Attribute attribute = target.metatype.attribute(key);
        Set<String> values = new LinkedHashSet<>(attribute.options());
        if (attribute.type().equals("Boolean")) {
            values.addAll(List.of("true", "false"));
        } else if (values.isEmpty()) {
            values.addAll(
                List.of(value(attribute, stored(target)), attribute.standard(), attribute.least(), attribute.most()));
        }
        values.add(DEFAULT);
        values.remove("");
        return new ArrayList<>(values);
    }

    /** @param name of the longest PID that is known, a dot, and a key */
    private String assign(String name, String value) throws IOException, InterruptedException {
        Target target = targets().stream().filter(one -> name.startsWith(one.pid + '.'))
            .max(Comparator.comparingInt(one -> one.pid.length()))
            .orElseThrow(() -> unknown(name));
        return config(target.pid, name.substring(target.pid.length() + 1), value);
    }

    private Target target(String pid) throws IOException {
        return targets().stream().filter(one -> one.pid.equals(pid)).findFirst().orElseThrow(() -> unknown(pid));
    }

    private ErrnoException unknown(String name) {
        List<Metatype> all = described.get();
        for (Metatype one : all) {
            if (one.factory() && (name.equals(one.pid()) || name.startsWith(one.pid() + '.'))) {
                return new ErrnoException(Errno.ENOENT,
                    "%s has a configuration for each %s, and there is none %s; list them with vfio:config",
                    one.pid(), one.name(), name);
            }
        }
        List<String> pids = all.stream().filter(one -> !one.factory()).map(Metatype::pid).toList();
        List<String> names = name.contains("=") || pids.stream().noneMatch(pid -> pid.equals(name))
            ? new ArrayList<>(pids)
            : pids;
        // With a key behind it, what is near is a PID and a key.
        all.stream().filter(one -> !one.factory())
            .forEach(one -> one.attributes().forEach(key -> names.add(one.pid() + '.' + key.key())));
        String near = Metatype.near(name, names);
        return new ErrnoException(Errno.ENOENT, "no configuration is called %s; %s", name,
            near.startsWith("near") ? near : "there are " + String.join(", ", pids));
    }

    /** {@return every PID there is: one of each kind, and of factories those that are there} */
    private List<Target> targets() throws IOException {
        List<Target> targets = new ArrayList<>();
        for (Metatype one : described.get()) {
            if (!one.factory()) {
                targets.add(new Target(one.pid(), one));
                continue;
            }
            try {
                Configuration[] instances = configurations
                    .listConfigurations("(" + ConfigurationAdmin.SERVICE_FACTORYPID + "=" + one.pid()
                    + ")");
                for (Configuration instance : instances == null ? new Configuration[0] : instances) {
                    targets.add(new Target(instance.getPid(), one));
                }
            } catch (InvalidSyntaxException e) {
                throw new ErrnoException(Errno.EINVAL, e, "a PID that is none: %s", one.pid());
            }
        }
        return targets;
    }

    private Dictionary<String, Object> stored(Target target) throws IOException {
        // Asked for by its name, one that is not there would be made.
        try {
            Configuration[] found = configurations.listConfigurations("(service.pid=" + target.pid + ")");
            return found == null ? new Hashtable<>() : found[0].getProperties();
        } catch (InvalidSyntaxException e) {
            throw new ErrnoException(Errno.EINVAL, e, "a PID that is none: %s", target.pid);
        }
    }

    private static String show(Metatype.Attribute one, Dictionary<String, Object> stored) {
        String standard = one.standard().isEmpty() ? ""
            : stored.get(one.key()) == null ? " (default)" : " (default " + one.standard() + ")";
        StringBuilder text = new StringBuilder(String.format("  %s = %s%s%n", one.key(), value(one, stored), standard));
        text.append(String.format("      %s%s: %s%n", one.type(), one.several() ? "[]" : "", one.legal()));
        StringBuilder line = new StringBuilder();
        for (String word : one.description().split(" ")) {
            if (line.length() + word.length() > WIDTH - 6) {
                text.append("      ").append(line).append('\n');
                line.setLength(0);
            }
            line.append(line.isEmpty() ? "" : " ").append(word);
        }
        return text.append("      ").append(line).append('\n').toString();
    }

    private static String value(Metatype.Attribute one, Dictionary<String, Object> stored) {
        Object value = stored.get(one.key());
        return value == null ? one.standard() : value.getClass().isArray()
            ? IntStream.range(0, Array.getLength(value)).mapToObj(i -> String.valueOf(Array.get(value, i)))
                    .collect(Collectors.joining(","))
            : String.valueOf(value);
    }
}
