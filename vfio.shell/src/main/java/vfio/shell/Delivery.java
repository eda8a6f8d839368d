// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.IOException;
import java.util.Hashtable;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.cm.ConfigurationEvent;
import org.osgi.service.cm.ConfigurationListener;

/** Waits until components have the configurations that were stored. */
@FunctionalInterface
interface Delivery {
    /** For a machine that has a lot else to do. */
    long PATIENCE_SECONDS = 30;

    /** Returns when every component has been told of what was stored before. */
    void await() throws IOException, InterruptedException;

    /**
     * Configuration Admin tells its listeners in a thread of its own, of one change after the other: when somebody is
     * told of a mark that was stored last, everybody has been told of all before, and Declarative Services has called
     * the modified methods, as it does so while it is told.
     *
     * @throws ErrnoException ETIMEDOUT if some component does not return
     */
    static void await(BundleContext context, ConfigurationAdmin configurations)
        throws IOException, InterruptedException {
        CountDownLatch told = new CountDownLatch(1);
        String pid = "vfio.shell.mark." + UUID.randomUUID();
        ServiceRegistration<ConfigurationListener> listener = context.registerService(ConfigurationListener.class,
            event -> {
            if (event.getType() == ConfigurationEvent.CM_UPDATED && pid.equals(event.getPid())) {
                told.countDown();
            }
        }, null);
        Configuration mark = configurations.getConfiguration(pid, "?");
        try {
            mark.update(new Hashtable<>());
            if (!told.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                throw new ErrnoException(Errno.ETIMEDOUT,
                    "stored, but some component has not taken a configuration within %d s", PATIENCE_SECONDS);
            }
        } finally {
            mark.delete();
            listener.unregister();
        }
    }
}
