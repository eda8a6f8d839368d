// SPDX-License-Identifier: Apache-2.0
package vfio.health;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.hc.api.HealthCheck;
import org.apache.felix.hc.api.Result;
import org.apache.felix.hc.api.ResultLog;
import org.apache.felix.service.command.Descriptor;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicy;

/**
 * The command {@code vfio:hc}: every health check of the host, of any bundle, run once on the caller's thread. The
 * executor of the Felix Health Checks, which runs them on threads of its own with a time limit, does not have to be
 * there.
 */
@Component(service = HealthCommands.class, property = {"osgi.command.scope=vfio", "osgi.command.function=hc",
    "osgi.command.function=__checks", "gantry.command.looks=hc", "gantry.command.group=to look: hc",
    "gantry.command.completes=hc (__checks)"})
public final class HealthCommands {
    private record Named(HealthCheck check, String name, List<String> tags) {
        boolean is(String text) {
            return text.equalsIgnoreCase(name) || tags.stream().anyMatch(text::equalsIgnoreCase);
        }
    }

    private final List<Named> checks = new CopyOnWriteArrayList<>();

    @Reference(name = "check", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addCheck(HealthCheck check, Map<String, Object> properties) {
        Object tags = properties.getOrDefault(HealthCheck.TAGS, new String[0]);
        checks
            .add(new Named(check, String.valueOf(properties.getOrDefault(HealthCheck.NAME, check.getClass().getName())),
            tags instanceof String[] several ? Arrays.asList(several) : List.of(String.valueOf(tags))));
    }

    void removeCheck(HealthCheck check) {
        checks.removeIf(one -> one.check == check);
    }

    @Descriptor("run every health check and show what it says")
    public String hc() {
        if (checks.isEmpty()) {
            return "there is no health check; those of vfio.health come with a machine\n";
        }
        return run(checks);
    }

    @Descriptor("run the health checks of a tag, or of a name")
    public String hc(@Descriptor("tag or name, e.g. vfio") String wanted) {
        List<Named> chosen = checks.stream().filter(one -> one.is(wanted)).toList();
        if (chosen.isEmpty()) {
            throw new ErrnoException(Errno.ENOENT, "no health check has the tag or the name %s; there are %s", wanted,
                checks.stream().map(one -> one.name + " " + one.tags).sorted().toList());
        }
        return run(chosen);
    }

    /** {@return for completion: the tags, and the names, of the checks} */
    public List<String> __checks(String... before) {
        return checks.stream().flatMap(one -> Stream.concat(one.tags.stream(), Stream.of(one.name))).distinct()
            .toList();
    }

    private static String run(List<Named> chosen) {
        List<Named> ordered = new ArrayList<>(chosen);
        ordered.sort(Comparator.comparing(Named::name));
        StringBuilder text = new StringBuilder();
        for (Named one : ordered) {
            Result result;
            try {
                result = one.check.execute();
            } catch (Exception e) {
                result = new Result(Result.Status.HEALTH_CHECK_ERROR, "the check itself failed: " + e, e);
            }
            text.append(String.format("%s: %s%n", one.name, result.getStatus()));
            for (ResultLog.Entry entry : result) {
                text.append(String.format("    %s%n", entry.getMessage()));
            }
        }
        return text.toString();
    }
}
