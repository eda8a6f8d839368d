// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.stream.Collectors;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.service.command.Descriptor;
import org.osgi.framework.BundleContext;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import vfio.api.Container;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;

/** The commands of scope {@code vfio} that replace the backends of containers. */
@Component(service = SwapCommands.class, property = {
    "osgi.command.scope=vfio",
    "osgi.command.function=swap", "osgi.command.function=swaps", "osgi.command.function=retry",
    "osgi.command.function=stall", "gantry.command.looks=swaps", "gantry.command.looks=stall",
    "gantry.command.group=to swap: swap swaps retry stall",
    "gantry.command.completes=swap (__containers)|(__backends) (__replacements)",
    "gantry.command.completes=retry (__containers)", "gantry.command.completes=stall (__containers)"})
public final class SwapCommands {
    private final Workbench bench;
    private final Replacement replacement;

    /** Built by Declarative Services. */
    @Activate
    public SwapCommands(BundleContext context, @Reference(name = "bench") Workbench bench) {
        this.bench = bench;
        this.replacement = new Replacement(context, bench);
    }

    @Descriptor("replace a backend's bundle with a fresh copy, under containers; shows what each of them says of it. "
        + "If it fails, the old one is put back")
    public String swap(@Descriptor("bundle, e.g. iommu.pamu") String bundle) throws IOException, InterruptedException {
        return attempt(bundle, "", () -> text(replacement.run(bundle, "")));
    }

    @Descriptor("move a container to another provider of its IOMMU type, or to another type; or replace a bundle "
        + "with the one in a jar")
    public String swap(@Descriptor("container, or bundle") String what, @Descriptor("IOMMU type, or jar") String with)
            throws IOException, InterruptedException {
        boolean container = bench.vfio().containers().stream().anyMatch(one -> one.name().equals(what));
        return attempt(what, with, () -> container ? table(List.of(bench.container(what).as(Backends.class).swap(with)))
            : text(replacement.run(what, with)));
    }

    @Descriptor("list the reports of all swaps, the latest at the end")
    public String swaps() {
        List<Swap> swaps = bench.vfio().as(Swaps.class).latest();
        List<Workbench.FailedSwap> failed = bench.failedSwaps();
        if (swaps.isEmpty() && failed.isEmpty()) {
            return "nothing was swapped yet; try vfio:swap BUNDLE\n";
        }
        return (swaps.isEmpty() ? "" : table(swaps)) + (failed.isEmpty() ? ""
            : (swaps.isEmpty() ? "" : "\n") + "Requested and not carried out:\n" + Reports.failed(failed));
    }

    @Descriptor("try once more to restore a blocked container; on the backends that are there now")
    public String retry(@Descriptor("container") String name) {
        Container container = bench.container(name);
        container.as(Backends.class).retry();
        return String.format("%s is %s", name, container.state());
    }

    @Descriptor("show or set how long devices of a container may wait during a swap")
    public String stall(@Descriptor("container") String name) {
        return String.format("%d ms", bench.container(name).as(Backends.class).stallBound().toMillis());
    }

    @Descriptor("set how long devices of a container may wait during a swap; 0 refuses their accesses at once")
    public void stall(@Descriptor("container") String name,
        @Descriptor("milliseconds, at most an hour") String millis) {
        try {
            bench.container(name).as(Backends.class).stallBound(Duration.ofMillis(Amount.parse(millis)));
        } catch (IllegalArgumentException e) {
            throw new ErrnoException(Errno.EINVAL, e, "%s", e.getMessage());
        }
    }

    /** One swap that somebody asks for. */
    private interface Attempt {
        String run() throws IOException, InterruptedException;
    }

    /** Runs it; a failure is kept, even if no container knows of it. */
    private String attempt(String what, String with, Attempt attempt) throws IOException, InterruptedException {
        try {
            return attempt.run();
        } catch (IOException | RuntimeException e) {
            bench.failedSwap(new Workbench.FailedSwap(Instant.now(), what, with, Causes.line(e)));
            throw e;
        }
    }

    private static String text(Course.Outcome outcome) {
        return (outcome.reports().isEmpty() ? "" : table(outcome.reports()))
            + outcome.notes().stream().map(note -> note + '\n').collect(Collectors.joining());
    }

    private static String table(List<Swap> swaps) {
        return Reports.swaps(swaps).toString();
    }
}
