// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.Windows;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.PciFunction;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.CommandSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.Region;
import vfio.api.Vfio;
import vfio.api.swap.Backends;

/**
 * The shell's commands about a container, {@code vfio:retry} and {@code vfio:stall}; and the shell's knowledge of
 * commands.
 */
@ExtendWith(Cleaned.class)
class RetryTest {
    private static final long MIB = 1L << 20;
    /** A type of its own, so that the real provider, whose domains it has, does not take over. */
    static final String KIND = "reluctant";

    private Machines machines;
    private Machine machine;
    private Configuration plugged;
    private ServiceRegistration<Iommu> first;
    private Container container;
    private CommandSession session;

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        machines = Framework.service(Machines.class);
        machine = machines.load(Framework.board("p4080.dtb"), Map.of());
        plugged = Framework.service(ConfigurationAdmin.class).createFactoryConfiguration("device.edu", "?");
        plugged.update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0, "dma.mask", -1L)));
        Vfio vfio = Framework.service(Vfio.class);
        Framework.service(PciFunction.class);
        first = register(new ReluctantIommu(Framework.service(Iommu.class), false));
        Framework.await("the device's group and the type",
            () -> !vfio.groups().isEmpty() && vfio.iommuTypes().contains(KIND));
        container = vfio.openContainer("guest");
        container.addGroup(vfio.group(0));
        container.setIommu(KIND);
        Framework.await("the commands",
            () -> Framework.present("(&(osgi.command.scope=vfio)(osgi.command.function=retry))"));
        PrintStream out = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        session = Framework.service(CommandProcessor.class).createSession(new ByteArrayInputStream(new byte[0]), out,
            out);
    }

    @AfterEach
    void unload() throws Exception {
        session.close();
        container.close();
        first.unregister();
        plugged.delete();
        Framework.await("the device to be gone", () -> !Framework.present(PciFunction.class, null));
        machines.unload();
    }

    @DisplayName("Each command has a group, and what commands say of their arguments names functions that are there "
        + "and answer")
    @Test
    void described() throws Exception {
        Set<String> functions = new TreeSet<>();
        List<String> grouped = new ArrayList<>();
        List<String> completed = new ArrayList<>();
        for (ServiceReference<?> one : Framework.CONTEXT.getAllServiceReferences(null,
                "(|(osgi.command.scope=vfio)(osgi.command.scope=irq))")) {
            List<String> its = texts(one, "osgi.command.function");
            functions.addAll(its);
            texts(one, "gantry.command.group")
                .forEach(group -> grouped.addAll(List.of(group.split(": ", 2)[1].split(" "))));
            texts(one, "gantry.command.completes").forEach(words -> {
                assertTrue(its.contains(words.split(" ")[0]), words);
                completed.add(words);
            });
        }
        assertEquals(functions.stream().filter(name -> !name.startsWith("_")).toList(),
            grouped.stream().sorted().toList());
        assertTrue(completed.size() > 20, completed.toString());
        completed.forEach(words -> Pattern.compile("\\((\\w+)\\)").matcher(words).results()
            .forEach(found -> assertTrue(functions.contains(found.group(1)), words)));
        assertEquals(List.of("guest"), session.execute("vfio:__containers"));
        assertTrue(session.execute("vfio:__slots").toString().contains("pcie0"));
        assertTrue(session.execute("vfio:__strategies guest").toString().contains("bank"));
        assertTrue(session.execute("vfio:__backends").toString().contains("iommu.pamu"));
        assertTrue(session.execute("vfio:__replacements guest").toString().contains(KIND));
    }

    private static List<String> texts(ServiceReference<?> one, String key) {
        return one.getProperty(key) instanceof String[] several ? List.of(several)
            : one.getProperty(key) == null ? List.of()
            : List.of(one.getProperty(key).toString());
    }

    @DisplayName("vfio:retry: a container whose restore failed stays blocked until it is asked for, and has "
        + "everything then")
    @Test
    void retry() throws Exception {
        container.set(new Geometry(0, 64 * MIB));
        container.set(new Windows(1));
        try (DmaBuffer memory = machine.memory().allocate(64 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 64 * MIB, Access.READ_WRITE);
        }
        Device device = container.groups().get(0).device("0000:01:00.0");
        device.write(Region.CONFIG, 4, 2, 6);
        long before = container.lookup(0x123456, Access.WRITE);
        Vfio vfio = Framework.service(Vfio.class);

        ReluctantIommu second = new ReluctantIommu(Framework.service(Iommu.class), true);
        ServiceRegistration<Iommu> registration = register(second);
        first.unregister();
        first = registration;
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains(ReluctantIommu.WHY), container.reason());
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> session.execute("vfio:retry guest"));
        assertEquals(Errno.ENOSPC, refusal.errno(), refusal.getMessage());
        assertEquals(ContainerState.BLOCKED, container.state());

        second.relent();
        assertEquals(ContainerState.BLOCKED, container.state(), "nobody was told");
        long faults = vfio.faultCount();
        dma(device);
        assertEquals(faults + 1, vfio.faultCount());

        assertEquals("guest is ACTIVE", session.execute("vfio:retry guest"));
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals("", container.reason());
        assertEquals(before, container.lookup(0x123456, Access.WRITE));
        dma(device);
        assertEquals(faults + 1, vfio.faultCount());
        assertEquals("guest is ACTIVE", session.execute("vfio:retry guest"));
        assertEquals(Errno.ENOENT,
            assertThrows(ErrnoException.class, () -> session.execute("vfio:retry nobody")).errno());
    }

    @DisplayName("vfio:stall: shows the bound, sets it, and refuses one that is none")
    @Test
    void stall() throws Exception {
        assertEquals("1000 ms", session.execute("vfio:stall guest"));
        session.execute("vfio:stall guest 250");
        assertEquals(Duration.ofMillis(250), container.as(Backends.class).stallBound());
        assertEquals("250 ms", session.execute("vfio:stall guest"));
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> session.execute("vfio:stall guest 3600001"));
        assertEquals(Errno.EINVAL, refusal.errno(), refusal.getMessage());
        assertEquals("250 ms", session.execute("vfio:stall guest"));
    }

    private static ServiceRegistration<Iommu> register(Iommu iommu) {
        return Framework.CONTEXT.registerService(Iommu.class, iommu,
            new Hashtable<>(Map.of(Iommu.KIND, KIND, Iommu.TYPE, KIND)));
    }

    /** Four bytes from the start of the container's memory into the device. */
    private static void dma(Device device) throws Exception {
        device.write(Region.BAR0, 0x80, 8, 0);
        device.write(Region.BAR0, 0x88, 8, 0x40000);
        device.write(Region.BAR0, 0x90, 8, 4);
        device.write(Region.BAR0, 0x98, 8, 1);
        Framework.await("the transfer", () -> (device.read(Region.BAR0, 0x98, 8) & 1) == 0);
    }
}
