// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.Windows;
import java.time.Duration;
import java.util.HashSet;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.PciFunction;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.log.LogEntry;
import org.osgi.service.log.LogLevel;
import org.osgi.service.log.LogListener;
import org.osgi.service.log.LogReaderService;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.Vfio;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;

/** Decision 17: a configuration that changes restarts nothing, and one that is wrong changes nothing. */
@ExtendWith(Cleaned.class)
class ConfigurationTest {
    private static final long MIB = 1L << 20;

    private final Set<String> changed = new HashSet<>();
    private final List<String> errors = new CopyOnWriteArrayList<>();
    private final List<String> warnings = new CopyOnWriteArrayList<>();
    private final LogListener listener = this::logged;
    private ConfigurationAdmin admin;
    private Machines machines;
    private Configuration plugged;
    private Vfio vfio;
    private Container container;
    private Device device;

    private void logged(LogEntry entry) {
        if (entry.getLogLevel() == LogLevel.ERROR) {
            errors.add(entry.getMessage());
        } else if (entry.getLogLevel() == LogLevel.WARN) {
            warnings.add(entry.getMessage());
        }
    }

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        admin = Framework.service(ConfigurationAdmin.class);
        machines = Framework.service(Machines.class);
        Machine machine = machines.load(Framework.board("p4080.dtb"), Map.of());
        plugged = admin.createFactoryConfiguration("device.edu", "?");
        plugged.update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0, "dma.mask", -1L)));
        vfio = Framework.service(Vfio.class);
        Framework.await("the device's group and the pamu",
            () -> !vfio.groups().isEmpty() && vfio.iommuTypes().contains("pamu"));
        container = vfio.openContainer("guest");
        container.addGroup(vfio.group(0));
        container.setIommu("pamu");
        container.set(new Geometry(0, 64 * MIB));
        container.set(new Windows(8));
        try (DmaBuffer memory = machine.memory().allocate(8 * MIB, 8 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 8 * MIB, Access.READ_WRITE);
        }
        device = container.groups().get(0).device("0000:01:00.0");
        device.write(Region.CONFIG, 4, 2, 6);
        Framework.service(LogReaderService.class).addLogListener(listener);
    }

    @AfterEach
    void unload() throws Exception {
        Framework.service(LogReaderService.class).removeLogListener(listener);
        if (container != null) {
            container.close();
        }
        for (String pid : changed) {
            admin.getConfiguration(pid, "?").delete();
        }
        plugged.delete();
        Framework.await("the device to be gone", () -> !Framework.present(PciFunction.class, null));
        machines.unload();
    }

    private void change(String pid, Map<String, Object> values) throws Exception {
        changed.add(pid);
        admin.getConfiguration(pid, "?").update(new Hashtable<>(values));
    }

    private void dma() throws InterruptedException {
        device.write(Region.BAR0, 0x80, 8, 0x1000);
        device.write(Region.BAR0, 0x88, 8, 0x40000);
        device.write(Region.BAR0, 0x90, 8, 256);
        device.write(Region.BAR0, 0x98, 8, 1);
        while ((device.read(Region.BAR0, 0x98, 8) & 1) != 0) {
            Thread.sleep(0, 100_000);
        }
    }

    private void works() throws InterruptedException {
        long faults = vfio.faultCount();
        dma();
        assertEquals(faults, vfio.faultCount());
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(List.of(container), vfio.containers());
    }

    @DisplayName("Every configuration changes under traffic: no container is closed or blocked, no device goes, no "
        + "access is refused, none swaps")
    @Test
    void underTraffic() throws Exception {
        container.as(Msis.class).call("MAP_MSI_BANK", 0, 0x1000000);
        EventFd eventFd = vfio.eventFd();
        device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
        PciFunction function = Framework.service(PciFunction.class);
        long faults = vfio.faultCount();
        int swaps = vfio.as(Swaps.class).latest().size();
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong rounds = new AtomicLong();
        List<Throwable> failures = new CopyOnWriteArrayList<>();
        Thread guest = new Thread(() -> {
            try {
                while (!stop.get()) {
                    dma();
                    device.write(Region.BAR0, 0x60, 4, 1);
                    assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
                    rounds.incrementAndGet();
                }
            } catch (Throwable e) {
                failures.add(e);
            }
        }, "guest");
        guest.start();
        try {
            change("vfio.container", Map.of("stall.bound", 250L, "dma.entry.limit", 7, "provider.timeout", 5_000L));
            Framework.await("a new container to have the bound", () -> {
                try (Container next = vfio.openContainer("next")) {
                    return next.as(Backends.class).stallBound().equals(Duration.ofMillis(250));
                }
            });
            change("iommu.pamu", Map.of("violation.policy", "disable"));
            Framework.await("the policy", () -> Framework.present(Iommu.class, "(violation.policy=disable)"));
            for (Map.Entry<String, Map<String, Object>> later : Map.<String, Map<String, Object>>of("iommu.pamu.unit",
                    Map.of("max.windows", 16), "irq.mpic", Map.of("core", 1), "irq.mpic.unit",
                    Map.of("version", 0x0403)).entrySet()) {
                warnings.clear();
                change(later.getKey(), later.getValue());
                Framework.await(later.getKey() + " to say that it is for later",
                    () -> warnings.stream().anyMatch(line ->
                    line.contains("from now on; restart this bundle")));
            }
            change("vfio.msi.window", Map.of("start", 0x2000000L, "length", 0x1000000L));
            plugged
                .update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0, "dma.mask", 0xfffffffL)));
            // Both are forgotten again, and the defaults come back; a configuration that goes closes nothing either.
            admin.getConfiguration("vfio.container", "?").delete();
            Framework.await("a new container to have the default bound", () -> {
                try (Container next = vfio.openContainer("next")) {
                    return next.as(Backends.class).stallBound().equals(Duration.ofSeconds(1));
                }
            });
            long seen = rounds.get();
            Framework.await("the guest to go on", () -> rounds.get() > seen + 10 || !failures.isEmpty());
        } finally {
            stop.set(true);
            guest.join();
        }
        assertEquals(List.of(), failures);
        works();
        assertEquals(faults, vfio.faultCount());
        assertEquals(swaps, vfio.as(Swaps.class).latest().size());
        assertSame(function, Framework.service(PciFunction.class));
        assertSame(vfio, Framework.service(Vfio.class));
        assertEquals(List.of(), errors);
    }

    @DisplayName("An illegal value is one ERROR line that names the legal ones; the previous value stays, and "
        + "everything works on")
    @Test
    void refused() throws Exception {
        change("vfio.container", Map.of("stall.bound", 250L));
        change("iommu.pamu", Map.of("violation.policy", "disable"));
        Framework.await("the policy", () -> Framework.present(Iommu.class, "(violation.policy=disable)"));
        refuses("vfio.container", Map.of("dma.entry.limit", 0, "stall.bound", 250L),
            "vfio.container: dma.entry.limit=0 is refused, legal is 1..2147483647; 65535 stays");
        refuses("vfio.container", Map.of("stall.bound", "for ever"),
            "vfio.container: stall.bound=for ever is refused, legal is 0..3600000; 250 stays");
        refuses("iommu.pamu", Map.of("violation.policy", "garbage"),
            "iommu.pamu: violation.policy=garbage is refused, legal is report or disable; disable stays");
        assertTrue(Framework.present(Iommu.class, "(violation.policy=disable)"));
        refuses("iommu.pamu.unit", Map.of("max.windows", 3),
            "iommu.pamu.unit: max.windows=3 is refused, legal is a power of two, 2..65536; 256 stays");
        refuses("irq.mpic", Map.of("core", 99), "irq.mpic: core=99 is refused, legal is 0..7; 0 stays");
        refuses("irq.mpic.unit", Map.of("version", -1),
            "irq.mpic.unit: version=-1 is refused, legal is 0..65535; 0 stays");
        refuses("vfio.msi.window", Map.of("start", 1L),
            "vfio.msi.window: start=1 is refused, legal is a multiple of 0x1000; 0 stays");
        try (Container next = vfio.openContainer("next")) {
            assertEquals(Duration.ofMillis(250), next.as(Backends.class).stallBound());
        }
        errors.clear();
        plugged.update(new Hashtable<>(Map.of("slot", "nowhere")));
        Framework.await("the device to be refused another place", () -> errors.size() == 1);
        assertTrue(errors.get(0).endsWith("; the one at 0000:01:00.0 stays"), errors.get(0));
        works();
    }

    private void refuses(String pid, Map<String, Object> values, String line) throws Exception {
        errors.clear();
        change(pid, values);
        Framework.await("a line of " + pid, () -> !errors.isEmpty());
        assertEquals(List.of(line), errors);
        works();
    }

    @DisplayName("An illegal value when a bundle starts is one ERROR line, and the default is used: no component "
        + "vanishes")
    @Test
    void atStart() throws Exception {
        Bundle bundle = Framework.bundle("iommu.pamu");
        bundle.stop();
        try {
            change("iommu.pamu", Map.of("violation.policy", "garbage"));
            change("iommu.pamu.unit", Map.of("version", 0x10000));
        } finally {
            bundle.start();
        }
        Framework.await("the container to work again", () -> container.state() == ContainerState.ACTIVE);
        assertTrue(Framework.present(Iommu.class, "(violation.policy=report)"));
        assertEquals(List.of("iommu.pamu.unit: version=65536 is refused, legal is 0..65535; the default 256 is used",
            "iommu.pamu: violation.policy=garbage is refused, legal is report or disable; the default report is used"),
            errors.stream().sorted().toList());
        works();
    }
}
