// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Iommu;
import itest.bad.NoIommu;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machines;
import machine.api.PciFunction;
import org.apache.felix.hc.api.HealthCheck;
import org.apache.felix.hc.api.Result;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.event.Event;
import org.osgi.service.event.EventConstants;
import org.osgi.service.event.EventHandler;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Vfio;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;

/** The view of a swap from outside: health checks and events. */
@ExtendWith(Cleaned.class)
class WatchTest {
    private Machines machines;
    private Configuration plugged;
    private Container container;

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        machines = Framework.service(Machines.class);
        machines.load(Framework.board("p4080.dtb"), Map.of());
        plugged = Framework.service(ConfigurationAdmin.class).createFactoryConfiguration("device.edu", "?");
        plugged.update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0)));
        Vfio vfio = Framework.service(Vfio.class);
        Framework.service(PciFunction.class);
        Framework.await("the device's group and the pamu",
            () -> !vfio.groups().isEmpty() && vfio.iommuTypes().contains("pamu"));
        container = vfio.openContainer("guest");
        container.addGroup(vfio.group(0));
        container.setIommu("pamu");
    }

    @AfterEach
    void unload() throws Exception {
        container.close();
        plugged.delete();
        Framework.await("the device to be gone", () -> !Framework.present(PciFunction.class, null));
        machines.unload();
    }

    @DisplayName("Health: fine, TEMPORARILY_UNAVAILABLE with the reason while a backend is away, fine again")
    @Test
    void away() throws Exception {
        assertEquals(Result.Status.OK, check("VFIO containers").getStatus());
        Bundle bundle = Framework.bundle("iommu.pamu");
        bundle.stop();
        try {
            Result result = check("VFIO containers");
            assertEquals(Result.Status.TEMPORARILY_UNAVAILABLE, result.getStatus());
            assertTrue(result.toString().contains(container.reason()), result.toString());
        } finally {
            bundle.start();
        }
        Framework.await("the container to work again", () -> container.state() == ContainerState.ACTIVE);
        assertEquals(Result.Status.OK, check("VFIO containers").getStatus());
        assertEquals(Result.Status.OK, check("VFIO swaps").getStatus());
    }

    @DisplayName("Health: CRITICAL while a restore has failed and nothing has taken over, OK when the next provider "
        + "has")
    @Test
    void failedRestore() throws Exception {
        Bundle bundle = Framework.bundle("iommu.pamu");
        bundle.stop();
        ServiceRegistration<Iommu> broken = Framework.CONTEXT.registerService(Iommu.class, new NoIommu(),
            new Hashtable<>(Map.of(Iommu.KIND, "pamu", Iommu.TYPE, "pamu")));
        try {
            assertEquals(ContainerState.BLOCKED, container.state());
            Result containers = check("VFIO containers");
            assertEquals(Result.Status.CRITICAL, containers.getStatus());
            assertTrue(containers.toString().contains(NoIommu.WHY), containers.toString());
            assertEquals(Result.Status.CRITICAL, check("VFIO swaps").getStatus());
        } finally {
            broken.unregister();
            bundle.start();
        }
        Framework.await("the container to work again", () -> container.state() == ContainerState.ACTIVE);
        assertEquals(Result.Status.OK, check("VFIO containers").getStatus());
        assertEquals(Result.Status.OK, check("VFIO swaps").getStatus());
    }

    @DisplayName("Health: WARN while the present backend goes on because another could not take over")
    @Test
    void notReplaced() throws Exception {
        ServiceRegistration<Iommu> broken = Framework.CONTEXT.registerService(Iommu.class, new NoIommu(),
            new Hashtable<>(Map.of(Iommu.KIND, "pamu", Iommu.TYPE, "pamu")));
        try {
            ErrnoException refusal = null;
            try {
                container.as(Backends.class).swap("pamu");
            } catch (ErrnoException e) {
                refusal = e;
            }
            assertEquals(Errno.ENOSPC, refusal == null ? null : refusal.errno());
            assertEquals(Result.Status.OK, check("VFIO containers").getStatus());
            Result swaps = check("VFIO swaps");
            assertEquals(Result.Status.WARN, swaps.getStatus());
            assertTrue(swaps.toString().contains(NoIommu.WHY), swaps.toString());
        } finally {
            broken.unregister();
        }
    }

    @DisplayName("Events: vfio/swap/DONE with the report's parts, vfio/swap/FAILED with the reason")
    @Test
    void events() throws Exception {
        BlockingQueue<Event> events = new LinkedBlockingQueue<>();
        ServiceRegistration<EventHandler> handler = Framework.CONTEXT.registerService(EventHandler.class, events::add,
            new Hashtable<>(Map.of(EventConstants.EVENT_TOPIC, "vfio/swap/*")));
        try {
            Swap report = container.as(Backends.class).swap("pamu");
            Event done = events.poll(Framework.seconds(15), TimeUnit.SECONDS);
            assertEquals("vfio/swap/DONE", done.getTopic());
            assertEquals(report, done.getProperty("swap"));
            assertEquals("guest", done.getProperty("container"));
            assertEquals("iommu", done.getProperty("backend"));
            assertEquals(report.blockedNanos(), done.getProperty("blockedNanos"));
            assertEquals("", done.getProperty("failure"));

            ServiceRegistration<Iommu> broken = Framework.CONTEXT.registerService(Iommu.class, new NoIommu(),
                new Hashtable<>(Map.of(Iommu.KIND, "pamu", Iommu.TYPE, "pamu")));
            try {
                container.as(Backends.class).swap("pamu");
            } catch (ErrnoException e) {
                Event failed = events.poll(Framework.seconds(15), TimeUnit.SECONDS);
                assertEquals("vfio/swap/FAILED", failed.getTopic());
                assertTrue(failed.getProperty("failure").toString().contains(NoIommu.WHY),
                    failed.getProperty("failure").toString());
                return;
            } finally {
                broken.unregister();
            }
            throw new AssertionError("a provider that opens no domain has taken over");
        } finally {
            handler.unregister();
        }
    }

    private static Result check(String name) throws InvalidSyntaxException {
        List<ServiceReference<HealthCheck>> references = List
            .copyOf(Framework.CONTEXT.getServiceReferences(HealthCheck.class,
            "(&(" + HealthCheck.NAME + "=" + name + ")(" + HealthCheck.TAGS + "=vfio))"));
        assertEquals(1, references.size());
        return Framework.CONTEXT.getService(references.get(0)).execute();
    }
}
