// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.io.IOException;
import java.io.PrintStream;
import java.security.SecureRandom;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.OutputFile;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Parameter;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import vfio.api.Vfio;

/** The commands {@code vfio:soak} and {@code vfio:enough}, which ends one early. They need nothing that is swapped. */
@Component(service = SoakCommand.class, property = {"osgi.command.scope=vfio", "osgi.command.function=soak",
    "osgi.command.function=enough", "gantry.command.group=to try: soak enough",
    "gantry.command.completes=soak --json=*"})
public final class SoakCommand {
    /** Bound of the seeds that JSON can represent exactly. */
    private static final long SEEDS = 1L << 48;

    private final BundleContext context;
    private final Machine machine;
    private final Vfio vfio;
    private final ConfigurationAdmin configurations;
    private final ServiceComponentRuntime components;
    /** Null while there is none. */
    private volatile Soak running;

    /** Built by Declarative Services. */
    @Activate
    public SoakCommand(BundleContext context, @Reference(name = "machine") Machine machine,
        @Reference(name = "vfio") Vfio vfio,
            @Reference(name = "configurations") ConfigurationAdmin configurations,
            @Reference(name = "components") ServiceComponentRuntime components) {
        this.context = context;
        this.machine = machine;
        this.vfio = vfio;
        this.configurations = configurations;
        this.components = components;
    }

    /** @return whether every promise held */
    @Descriptor("swap every backend again and again under working devices; compare everything")
    public boolean soak(CommandSession session,
            @Descriptor("for how long") @Parameter(names = {"-s", "--seconds"}, absentValue = "30") String seconds,
            @Descriptor("seed of all random choices; by default a new one each time")
            @Parameter(names = {"-r", "--seed"}, absentValue = "") String seed,
            @Descriptor("file to write the result to as JSON; - is standard output, and the text goes to standard "
                + "error then")
            @Parameter(names = {"-j", "--json"}, absentValue = "") Object json)
            throws IOException, InvalidSyntaxException {
        Settings settings = new Settings((int) Math.min(Integer.MAX_VALUE, number("seconds", seconds)),
            seed.isEmpty() ? new SecureRandom().nextLong(SEEDS) : number("seed", seed));
        // By its name; or opened by a program before it began.
        try (OutputFile file = json instanceof OutputFile open ? open
            : "".equals(json.toString()) ? null : OutputFile.open(json.toString())) {
            // JSON on standard output must be alone there.
            PrintStream out = file != null && file.isStandard() ? System.err : session.getConsole();
            out.printf("Swapping backends of %s under load for %d s, seed %d%n", machine.model(), settings.seconds(),
                settings.seed());
            Verdict verdict;
            running = new Soak(context, machine, vfio, configurations, components, settings, out,
                Boolean.getBoolean("gantry.terminal"));
            try {
                verdict = running.run();
            } finally {
                running = null;
            }
            out.print(verdict.text());
            if (file != null) {
                file.write(verdict.json());
            }
            return verdict.ok();
        }
    }

    /** Ends the swaps of a soak that runs, in another session, early: what was done until then is judged. */
    @Descriptor("end a running soak early; it gives a verdict on the work done so far")
    public void enough() {
        Soak soak = running;
        if (soak == null) {
            throw new ErrnoException(Errno.ENOENT, "no soak is running");
        }
        soak.end();
    }

    private static long number(String what, String text) {
        try {
            return Long.decode(text);
        } catch (NumberFormatException e) {
            throw new ErrnoException(Errno.EINVAL, e, "%s '%s' is no number", what, text);
        }
    }
}
