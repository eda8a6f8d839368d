// SPDX-License-Identifier: Apache-2.0
package itest;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import machine.api.Machines;
import machine.api.PciFunction;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.osgi.framework.Bundle;
import org.osgi.framework.ServiceReference;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Container;
import vfio.api.Vfio;

/**
 * Leaves the framework as the test found it, however the test ended: one that fails half way, in its set-up too, must
 * not take those after it down. Containers are closed, configurations forgotten, bundles started, stopped and taken
 * out, the machine unloaded. Runs after a test's own clearing up, and says what that has left.
 */
public final class Cleaned implements BeforeEachCallback, AfterEachCallback {
    private static final int RUNNING = Bundle.STARTING | Bundle.ACTIVE;

    /** By name, as a bundle that was replaced has another number: whether it ran. One for each bundle. */
    private final Map<String, List<Boolean>> before = new HashMap<>();

    /** A step of clearing up, which may fail: the next one is taken all the same. */
    private interface Step {
        void take() throws Exception;
    }

    @Override
    public void beforeEach(ExtensionContext context) throws Exception {
        Framework.awaitStart();
        before.clear();
        for (Bundle bundle : Framework.CONTEXT.getBundles()) {
            before.computeIfAbsent(bundle.getSymbolicName(), name -> new ArrayList<>()).add(runs(bundle));
        }
    }

    @Override
    public void afterEach(ExtensionContext context) {
        clear(context.getDisplayName());
    }

    /** @param test is named beside what it has left */
    void clear(String test) {
        List<String> left = new ArrayList<>();
        List<Exception> failures = new ArrayList<>();
        if (before.isEmpty()) {
            throw new IllegalStateException("the framework did not come up");
        }
        take(failures, () -> containers(left, failures));
        take(failures, () -> configurations(left, failures));
        take(failures, () -> bundles(left, failures));
        take(failures, () -> machine(left));
        if (!left.isEmpty()) {
            System.err.println(test + " left " + left);
        }
        if (!failures.isEmpty()) {
            AssertionError error = new AssertionError("not all can be cleared up: " + left);
            failures.forEach(error::addSuppressed);
            throw error;
        }
    }

    private static void containers(List<String> left, List<Exception> failures) {
        ServiceReference<Vfio> reference = Framework.CONTEXT.getServiceReference(Vfio.class);
        Vfio vfio = reference == null ? null : Framework.CONTEXT.getService(reference);
        for (Container container : vfio == null ? List.<Container>of() : vfio.containers()) {
            left.add("container " + container.name());
            take(failures, container::close);
        }
        if (reference != null) {
            Framework.CONTEXT.ungetService(reference);
        }
    }

    private static void configurations(List<String> left, List<Exception> failures) throws Exception {
        Configuration[] all = Framework.service(ConfigurationAdmin.class).listConfigurations(null);
        if (all == null) {
            return;
        }
        for (Configuration one : all) {
            left.add("configuration " + one.getPid());
            take(failures, one::delete);
        }
        // They are forgotten in another thread: the next machine must not meet this one's devices.
        Framework.await("the devices to be gone", () -> !Framework.present(PciFunction.class, null));
    }

    private void bundles(List<String> left, List<Exception> failures) {
        Map<String, List<Boolean>> missing = new HashMap<>();
        before.forEach((name, running) -> missing.put(name, new ArrayList<>(running)));
        // The oldest first: of several of a name the latest are those too many.
        for (Bundle bundle : Framework.CONTEXT.getBundles()) {
            List<Boolean> expected = missing.getOrDefault(bundle.getSymbolicName(), List.of());
            if (expected.isEmpty()) {
                left.add("bundle " + bundle.getSymbolicName());
                take(failures, bundle::uninstall);
                continue;
            }
            boolean ran = expected.remove(0);
            if (ran != runs(bundle)) {
                left.add("bundle " + bundle.getSymbolicName() + (ran ? " stopped" : " started"));
                take(failures, ran ? bundle::start : bundle::stop);
            }
        }
        missing.forEach((name, gone) -> {
            if (!gone.isEmpty()) {
                failures.add(new IllegalStateException("bundle " + name + " is not there any more"));
            }
        });
    }

    private static boolean runs(Bundle bundle) {
        return (bundle.getState() & RUNNING) != 0;
    }

    private static void machine(List<String> left) throws InterruptedException {
        Machines machines = Framework.service(Machines.class);
        machines.machine().ifPresent(machine -> {
            left.add("machine " + machine.model());
            machines.unload();
        });
    }

    private static void take(List<Exception> failures, Step step) {
        try {
            step.take();
        } catch (Exception e) {
            failures.add(e);
        }
    }
}
