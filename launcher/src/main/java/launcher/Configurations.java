// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.CommandSession;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.util.tracker.ServiceTracker;

/** Applies the configurations of the command line, by calling the shell's command, before the machine is loaded. */
final class Configurations {
    private static final String COMMAND = "(&(osgi.command.scope=vfio)(osgi.command.function=config))";
    private static final long PATIENCE_SECONDS = 10;

    private final BundleContext context;
    private final CommandProcessor processor;

    Configurations(BundleContext context, CommandProcessor processor) {
        this.context = context;
        this.processor = processor;
    }

    /**
     * Sets them, one after the other.
     *
     * @param assignments each {@code PID.KEY=VALUE}
     * @throws ErrnoException EINVAL for one that has no equals sign, or a value that is not legal; ENOENT if there is
     *     no such configuration, or key; ENODEV if nothing here can be configured
     */
    void set(List<String> assignments) throws Exception {
        if (assignments.isEmpty()) {
            return;
        }
        await();
        // What the command answers is for a person at a shell.
        try (CommandSession session = processor.createSession(InputStream.nullInputStream(),
            OutputStream.nullOutputStream(),
                OutputStream.nullOutputStream())) {
            for (String one : assignments) {
                if (one.indexOf('=') < 0) {
                    throw new ErrnoException(Errno.EINVAL, "--config %s: write PID.KEY=VALUE", one);
                }
                session.put("assignment", one);
                session.execute("vfio:config $assignment");
            }
        }
    }

    private void await() throws InterruptedException, InvalidSyntaxException {
        ServiceTracker<Object, Object> tracker = new ServiceTracker<>(context, context.createFilter(COMMAND), null);
        tracker.open();
        try {
            if (tracker.waitForService(TimeUnit.SECONDS.toMillis(PATIENCE_SECONDS)) == null) {
                throw new ErrnoException(Errno.ENODEV,
                    "nothing can be configured: the command vfio:config has not come within %d s",
                    PATIENCE_SECONDS);
            }
        } finally {
            tracker.close();
        }
    }
}
