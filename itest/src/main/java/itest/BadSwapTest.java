// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Enumeration;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
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
import org.junit.jupiter.api.io.TempDir;
import org.osgi.framework.Bundle;
import org.osgi.framework.startlevel.BundleStartLevel;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
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

/** {@code vfio:swap} with what is no backend, or a bad one: what is at work stays so, and one line says why. */
@ExtendWith(Cleaned.class)
class BadSwapTest {
    private static final long MIB = 1L << 20;
    private static final String NAME = "iommu.pamu";
    private static final String DEVICE = "0000:01:00.0";
    private static final String RELEASE = "itest.bad.release";
    private static final String STARTS = "itest.bad.starts";
    private static final String UNIT = "OSGI-INF/iommu.pamu.unit.xml";
    private static final String DRIVER = "OSGI-INF/iommu.pamu.xml";
    private static final String PART = "OSGI-INF/part.xml";
    private static final String PARTS = """
        <scr:component xmlns:scr="http://www.osgi.org/xmlns/scr/v1.4.0" name="part" immediate="true" activate="activate"
            deactivate="deactivate">
          <implementation class="itest.bad.Part"/>
        </scr:component>
        """;

    @TempDir
    private Path directory;

    private Machines machines;
    private Vfio vfio;
    private Configuration plugged;
    private Configuration limits;
    private Container container;
    private Device device;
    private EventFd eventFd;
    private CommandSession session;
    private Path original;

    @BeforeEach
    void load() throws Exception {
        System.clearProperty(RELEASE);
        System.clearProperty(STARTS);
        Framework.awaitStart();
        machines = Framework.service(Machines.class);
        ConfigurationAdmin configurations = Framework.service(ConfigurationAdmin.class);
        limits = configurations.getConfiguration("vfio.container", "?");
        limits.update(new Hashtable<>(Map.of("provider.timeout", 4_000L)));
        Machine machine = machines.load(Framework.board("p4080.dtb"), Map.of());
        plugged = configurations.createFactoryConfiguration("device.edu", "?");
        plugged.update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0, "dma.mask", -1L)));
        Framework.await("the limits", () -> Framework.present(Vfio.class, "(provider.timeout=4000)"));
        vfio = Framework.CONTEXT.getService(Framework.CONTEXT.getServiceReference(Vfio.class));
        Framework.service(PciFunction.class);
        Framework.await("the device's group, the controller and the pamu", () -> !vfio.groups().isEmpty()
            && vfio.iommuTypes().contains("pamu") && Framework.present("(irq.kind=mpic)"));
        container = vfio.openContainer("guest");
        container.addGroup(vfio.group(0));
        container.setIommu("pamu");
        // Longer than a busy machine takes for the way there and back.
        container.as(Backends.class).stallBound(Duration.ofSeconds(20));
        container.set(new Geometry(0, 512 * MIB));
        container.set(new Windows(8));
        try (DmaBuffer memory = machine.memory().allocate(64 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 64 * MIB, Access.READ_WRITE);
        }
        Framework.await("a strategy", () -> container.as(Msis.class).strategy().isPresent());
        container.as(Msis.class).strategy("bank");
        container.as(Msis.class).call("MAP_MSI_BANK", 0, 256 * MIB);
        device = container.groups().get(0).device(DEVICE);
        device.write(Region.CONFIG, 4, 2, 6);
        eventFd = vfio.eventFd();
        device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
        Framework.await("the commands",
            () -> Framework.present("(&(osgi.command.scope=vfio)(osgi.command.function=swap))"));
        PrintStream out = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);
        session = Framework.service(CommandProcessor.class).createSession(new ByteArrayInputStream(new byte[0]), out,
            out);
        original = jar("original.jar", entries(backend()));
    }

    @AfterEach
    void unload() throws Exception {
        System.setProperty(RELEASE, "true");
        session.close();
        Framework.await("one bundle of the backend", () -> Arrays.stream(Framework.CONTEXT.getBundles())
            .filter(one -> NAME.equals(one.getSymbolicName())).count() == 1);
        Bundle bundle = backend();
        bundle.stop();
        try (InputStream content = Files.newInputStream(original)) {
            bundle.update(content);
        }
        bundle.start();
        container.close();
        plugged.delete();
        limits.delete();
        Framework.await("the device to be gone", () -> !Framework.present(PciFunction.class, null));
        machines.unload();
    }

    /** Something that makes a bad jar of a good one's parts. */
    private interface Bad {
        void spoil(TreeMap<String, byte[]> entries) throws IOException;
    }

    @DisplayName("A jar whose fault is visible beforehand is refused: the backend is not even stopped, and one line "
        + "says why")
    @Test
    void beforehand() throws Exception {
        long revision = backend().getLastModified();
        refused(Errno.ENOENT, "there is no file", directory.resolve("nowhere.jar"));
        refused(Errno.EINVAL, "is no file", directory);
        refused(Errno.EINVAL, "no jar", Files.writeString(directory.resolve("text.jar"), "this is a text"));
        refused(Errno.EINVAL, "no jar", Files.write(directory.resolve("empty.jar"), new byte[0]));
        byte[] whole = Files.readAllBytes(original);
        refused(Errno.EINVAL, "not the whole of one",
            Files.write(directory.resolve("half.jar"), Arrays.copyOf(whole, whole.length / 2)));
        byte[] wrong = whole.clone();
        wrong[wrong.length / 3] ^= 0x55;
        refused(Errno.EINVAL, "no jar, or not the whole", Files.write(directory.resolve("wrong.jar"), wrong));
        refused(Errno.EINVAL, "no manifest", bad("bare.jar", entries -> entries.remove("META-INF/MANIFEST.MF")));
        refused(Errno.EINVAL, "Bundle-SymbolicName",
            bad("unnamed.jar", entries -> manifest(entries, "Bundle-SymbolicName", null)));
        refused(Errno.EINVAL, "fragment of vfio.api",
            bad("fragment.jar", entries -> manifest(entries, "Fragment-Host", "vfio.api")));
        refused(Errno.EINVAL, "Bundle-Version",
            bad("version.jar", entries -> manifest(entries, "Bundle-Version", "one")));
        refused(Errno.EEXIST, "irq.mpic", bad("same.jar", entries -> {
            manifest(entries, "Bundle-SymbolicName", "irq.mpic");
            manifest(entries, "Bundle-Version", Framework.bundle("irq.mpic").getVersion().toString());
        }));
        refused(Errno.EINVAL, "not.there", bad("unresolved.jar", entries -> manifest(entries, "Import-Package",
            "iommu.api,machine.api,org.osgi.framework,not.there")));
        refused(Errno.EINVAL, "iommu/pamu/PamuDriver",
            bad("lacking.jar", entries -> entries.remove("iommu/pamu/PamuDriver.class")));
        refused(Errno.EINVAL, "itest.bad.Nothing", bad("activator.jar", entries -> manifest(entries, "Bundle-Activator",
            "itest.bad.Nothing")));
        refused(Errno.EINVAL, DRIVER,
            bad("broken.jar", entries -> entries.put(DRIVER, "<scr:component".getBytes(StandardCharsets.UTF_8))));
        refused(Errno.EINVAL, "descriptor OSGI-INF/none.xml",
            bad("named.jar", entries -> manifest(entries, "Service-Component",
            "OSGI-INF/none.xml")));
        refused(Errno.EINVAL, "names no implementation", bad("hollow.jar", entries -> entries.put(DRIVER,
            PARTS.replaceAll("<implementation.*>", "").getBytes(StandardCharsets.UTF_8))));
        assertEquals(revision, backend().getLastModified(), "the backend was touched");
        assertEquals(0, Arrays.stream(Framework.CONTEXT.getBundles())
            .filter(one -> one.getSymbolicName().endsWith(".candidate")).count());
        assertTrue(session.execute("vfio:swaps").toString().contains("not.there"), "swaps forgets");
    }

    @DisplayName("With any other fault of a jar, the old bundle is back at once, no access of a device is refused, "
        + "one line says why")
    @Test
    void there() throws Exception {
        refused(Errno.EINVAL, "start is bad", spoilt("activator", "start throws", List.of()));
        refused(Errno.EINVAL, "start/Absent", spoilt("activator-error", "start errs", List.of()));
        refused(Errno.EINVAL, "constructor is bad", spoilt("constructor", "constructor throws", List.of(UNIT, PART)));
        refused(Errno.EINVAL, "constructor/Absent",
            spoilt("constructor-error", "constructor errs", List.of(UNIT, PART)));
        refused(Errno.EINVAL, "activate is bad", spoilt("activate", "activate throws", List.of(UNIT, PART)));
        refused(Errno.EINVAL, "activate/Absent", spoilt("activate-error", "activate errs", List.of(PART)));
        refused(Errno.EINVAL, "it offers no IOMMU of kind pamu", spoilt("nothing", "nothing", List.of()));
        refused(Errno.EINVAL, "waits for machine.api.Node", spoilt("unitless", "nothing", List.of(DRIVER)));
        refused(Errno.EINVAL, "does not take its descriptor of iommu.pamu.PamuComponent",
            bad("type.jar", entries -> entries.put(DRIVER,
            new String(entries.get(DRIVER), StandardCharsets.UTF_8)
                    .replace("\"String\" value=\"pamu\"", "\"Integer\" value=\"pamu\"")
                .getBytes(StandardCharsets.UTF_8))));
        refused(Errno.EINVAL, "but IOMMU of kind umap", spoilt("kind", "another kind", List.of()));
        refused(Errno.EINVAL, "but IOMMU of kind 7 (Integer and no text)", spoilt("number", "number", List.of()));
        refused(Errno.EINVAL, "no domain is ever had here", spoilt("domain", "no domain", List.of()));
        refused(Errno.EINVAL, "PamuDomain", bad("lazy.jar", entries -> entries.remove("iommu/pamu/PamuDomain.class")));
        String good = session.execute("vfio:swap " + NAME).toString();
        assertTrue(good.contains("guest"), good);
        assertEquals("", container.reason());
        works();
    }

    @DisplayName("The interrupt controller and the strategies: as the IOMMU; a container whose strategy is missing "
        + "has it back")
    @Test
    void others() throws Exception {
        for (String name : List.of("irq.mpic", "vfio.msi")) {
            String wanted = name.equals("irq.mpic") ? "offers no interrupt controller" : "offers no MSI strategy bank";
            Path nothing = jar(name + ".jar", spoil(entries(Framework.bundle(name)), "nothing", List.of(), name));
            ErrnoException refusal = assertThrows(ErrnoException.class,
                () -> session.execute("vfio:swap " + name + ' ' + nothing));
            assertTrue(refusal.getMessage().contains(wanted), refusal.getMessage());
            assertTrue(container.reason().contains(wanted), container.reason());
            // Where strategies have placed banks is another matter.
            if (name.equals("irq.mpic")) {
                works();
            }
            assertEquals(Bundle.ACTIVE, Framework.bundle(name).getState());
            String good = session.execute("vfio:swap " + name).toString();
            assertTrue(good.contains("guest"), good);
        }
    }

    @DisplayName("If not even the old bundle can come back, the container is BLOCKED with both causes; the next good "
        + "jar has it work again")
    @Test
    void bothCauses() throws Exception {
        String once = session
            .execute("vfio:swap " + NAME + ' ' + spoilt("once", "start works once", List.of(DRIVER, UNIT))).toString();
        assertTrue(once.contains("guest"), once);
        works();
        Path throwing = spoilt("throwing", "start throws", List.of());
        ErrnoException refusal = assertThrows(ErrnoException.class,
            () -> session.execute("vfio:swap " + NAME + ' ' + throwing));
        assertEquals(Errno.EIO, refusal.errno(), refusal.getMessage());
        assertEquals(ContainerState.BLOCKED, container.state());
        for (String text : List.of(refusal.getMessage(), container.reason())) {
            assertTrue(text.contains("start is bad") && text.contains("start worked once"), text);
            assertEquals(1, text.lines().count(), text);
        }
        assertThrows(ErrnoException.class,
            () -> session.execute("vfio:swap " + NAME + ' ' + directory.resolve("nowhere.jar")));
        String good = session.execute("vfio:swap " + NAME + ' ' + original).toString();
        assertTrue(good.contains("guest"), good);
        assertFalse(good.contains("does not work"), good);
        assertEquals("", container.reason());
        works();
    }

    @DisplayName("A stopped backend: swap starts it; with a bad jar it is stopped as it was, and the container says "
        + "why")
    @Test
    void stopped() throws Exception {
        backend().stop();
        assertEquals(ContainerState.BLOCKED, container.state());
        Path nothing = spoilt("nothing", "nothing", List.of());
        ErrnoException refusal = assertThrows(ErrnoException.class,
            () -> session.execute("vfio:swap " + NAME + ' ' + nothing));
        assertTrue(
            refusal.getMessage().contains("offers no IOMMU of kind pamu")
                && refusal.getMessage().contains("stopped as it was"),
            refusal.getMessage());
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("offers no IOMMU of kind pamu"), container.reason());
        assertNotEquals(Bundle.ACTIVE, backend().getState());
        assertFalse(backend().adapt(BundleStartLevel.class).isPersistentlyStarted(),
            "nor does the framework start it later");
        String good = session.execute("vfio:swap " + NAME).toString();
        assertTrue(good.contains("guest"), good);
        works();
        assertTrue(backend().adapt(BundleStartLevel.class).isPersistentlyStarted(),
            "and it stays at work over the framework's next start");
        String other = session.execute("vfio:swap iommu.vtd").toString();
        assertTrue(other.contains("offers nothing on this machine; no container uses it"), other);
    }

    @DisplayName("A bundle that hangs when it is started: the old one is at work while it hangs, and it is gone when "
        + "it does not any more")
    @Test
    void hangsInActivate() throws Exception {
        hangs(spoilt("hanging", "activate hangs", List.of(DRIVER, UNIT, PART)));
        System.setProperty(RELEASE, "true");
        settled();
        works();
        swaps("");
        works();
        System.clearProperty(RELEASE);
        // As a driver does that hangs when its unit is there: inside the unit's own start.
        TreeMap<String, byte[]> nested = spoil(entries(backend()), "activate hangs", List.of(PART, UNIT), NAME);
        nested.put(PART, PARTS.replace("<impl", "<reference name=\"node\" interface=\"machine.api.Node\" "
            + "target=\"(&amp;(compatible=fsl,pamu)(machine.ready=true))\"/><impl").getBytes(StandardCharsets.UTF_8));
        hangs(jar("nested.jar", nested));
        System.setProperty(RELEASE, "true");
        settled();
        works();
    }

    @DisplayName("A bundle that hangs when it is stopped, whatever it has let go of by then, and one whose activator "
        + "hangs: as one that hangs when it is started")
    @Test
    void hangsInDeactivate() throws Exception {
        for (List<String> order : List.of(List.of(PART, DRIVER, UNIT), List.of(DRIVER, PART, UNIT),
            List.of(UNIT, DRIVER, PART))) {
            String good = session.execute("vfio:swap " + NAME + ' ' + spoilt("staying", "deactivate hangs", order))
                .toString();
            assertTrue(good.contains("guest"), good);
            hangs(original);
            System.setProperty(RELEASE, "true");
            settled();
            works();
            swaps(" " + original);
            System.clearProperty(RELEASE);
        }
        hangs(spoilt("starting", "start hangs", List.of()));
    }

    /** Waits until the bundle that hung has ended, or works again. */
    private void settled() throws Exception {
        Framework.await("one bundle of the backend, at work", () -> Arrays.stream(Framework.CONTEXT.getBundles())
            .filter(one -> NAME.equals(one.getSymbolicName())).count() == 1 && backend().getState() == Bundle.ACTIVE
            && container.state() == ContainerState.ACTIVE);
    }

    /**
     * A swap that succeeds. A bundle that is at work again after it hung may not have been let go of yet: it is EBUSY
     * for a moment.
     */
    private void swaps(String by) throws Exception {
        Framework.await("a swap", () -> {
            try {
                String report = session.execute("vfio:swap " + NAME + by).toString();
                assertTrue(report.contains("guest"), report);
                return true;
            } catch (ErrnoException e) {
                assertEquals(Errno.EBUSY, e.errno(), e.getMessage());
                return false;
            }
        });
    }

    private void hangs(Path jar) throws Exception {
        long begin = System.nanoTime();
        ErrnoException refusal = assertThrows(ErrnoException.class,
            () -> session.execute("vfio:swap " + NAME + ' ' + jar));
        assertEquals(Errno.ETIMEDOUT, refusal.errno(), refusal.getMessage());
        assertTrue(System.nanoTime() - begin < TimeUnit.SECONDS.toNanos(20), "it took too long");
        assertTrue(refusal.getMessage().contains("has not returned within 4000 ms"), refusal.getMessage());
        assertTrue(container.reason().contains("has not returned within 4000 ms"), container.reason());
        works();
    }

    @DisplayName("A bundle that is no backend is not swapped: the losses are named, and there are none")
    @Test
    void noBackends() throws Exception {
        keeps("vfio.container", "containers [guest]");
        keeps("machine.osgi", "devices [" + DEVICE + "]");
        keeps("device.edu", "devices [" + DEVICE + "]");
        keeps("vfio.shell", "this shell's commands");
        keeps("machine.api", "containers [guest]");
        keeps("org.apache.felix.scr", "containers [guest]");
        keeps("org.apache.felix.framework", "the framework");
        assertEquals(Errno.ENOENT,
            assertThrows(ErrnoException.class, () -> session.execute("vfio:swap nobody")).errno());
    }

    private void keeps(String name, String lost) throws Exception {
        long revision = Framework.bundle(name).getLastModified();
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> session.execute("vfio:swap " + name), name);
        assertEquals(Errno.EOPNOTSUPP, refusal.errno(), refusal.getMessage());
        assertTrue(refusal.getMessage().contains(lost), refusal.getMessage());
        assertTrue(refusal.getMessage().contains("Backends are [") && refusal.getMessage().contains(NAME),
            refusal.getMessage());
        assertEquals(revision, Framework.bundle(name).getLastModified());
        works();
    }

    /** A swap with that jar fails in good time, in one line, and costs nobody anything. */
    private void refused(Errno errno, String cause, Path jar) throws Exception {
        long faults = vfio.faultCount();
        Thread user = new Thread(() -> {
            while (!Thread.currentThread().isInterrupted()) {
                copy();
            }
        });
        user.start();
        ErrnoException refusal;
        try {
            refusal = assertThrows(ErrnoException.class, () -> session.execute("vfio:swap " + NAME + ' ' + jar),
                jar.toString());
        } finally {
            user.interrupt();
            user.join();
        }
        assertEquals(errno, refusal.errno(), refusal.getMessage());
        assertTrue(refusal.getMessage().contains(cause), refusal.getMessage());
        assertEquals(1, refusal.getMessage().lines().count(), refusal.getMessage());
        assertTrue(container.reason().contains(cause), container.reason() + " after " + refusal.getMessage());
        assertTrue(session.execute("vfio:swaps").toString().contains(cause), "swaps does not say so");
        assertEquals(faults, vfio.faultCount(), refusal.getMessage());
        works();
    }

    /** Memory and MSI. */
    private void works() throws Exception {
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        long faults = vfio.faultCount();
        copy();
        assertEquals(faults, vfio.faultCount(), () -> vfio.faults() + ", " + vfio.as(Swaps.class).latest());
        device.write(Region.BAR0, 0x60, 4, 1);
        assertEquals(1, eventFd.read(Framework.seconds(10), TimeUnit.SECONDS), container.reason());
        device.write(Region.BAR0, 0x64, 4, 1);
    }

    /** Four bytes from the start of the container's memory into the device. */
    private void copy() {
        device.write(Region.BAR0, 0x80, 8, 0);
        device.write(Region.BAR0, 0x88, 8, 0x40000);
        device.write(Region.BAR0, 0x90, 8, 4);
        device.write(Region.BAR0, 0x98, 8, 1);
        while ((device.read(Region.BAR0, 0x98, 8) & 1) != 0) {
            Thread.onSpinWait();
        }
    }

    private static Bundle backend() {
        return Framework.bundle(NAME);
    }

    /** {@return a jar of the original's parts, of which something is spoilt} */
    private Path bad(String name, Bad bad) throws IOException {
        TreeMap<String, byte[]> entries = entries(backend());
        bad.spoil(entries);
        return jar(name, entries);
    }

    /** {@return a jar with what misbehaves in it, and these descriptors} */
    private Path spoilt(String name, String misbehaviour, List<String> descriptors) throws IOException {
        return jar(name + ".jar", spoil(entries(backend()), misbehaviour, descriptors, NAME));
    }

    private static TreeMap<String, byte[]> spoil(TreeMap<String, byte[]> entries, String misbehaviour,
        List<String> descriptors,
            String name) throws IOException {
        if (!name.equals(NAME)) {
            manifest(entries, "Import-Package", "iommu.api,machine.api,org.osgi.framework");
            entries.keySet().removeIf(entry -> entry.endsWith(".class"));
        }
        manifest(entries, "Bundle-Activator", "itest.bad.Activator");
        manifest(entries, "X-Misbehave", misbehaviour);
        manifest(entries, "Service-Component", descriptors.isEmpty() ? null : String.join(",", descriptors));
        entries.put(PART, PARTS.getBytes(StandardCharsets.UTF_8));
        for (String type : List.of("Activator", "Misbehaviour", "NoIommu", "Part")) {
            String path = "itest/bad/" + type + ".class";
            try (InputStream content = Framework.CONTEXT.getBundle().getResource(path).openStream()) {
                entries.put(path, content.readAllBytes());
            }
        }
        return entries;
    }

    private static void manifest(TreeMap<String, byte[]> entries, String header, String value) throws IOException {
        Manifest manifest = new Manifest(new ByteArrayInputStream(entries.get("META-INF/MANIFEST.MF")));
        if (value == null) {
            manifest.getMainAttributes().remove(new java.util.jar.Attributes.Name(header));
        } else {
            manifest.getMainAttributes().putValue(header, value);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        manifest.write(bytes);
        entries.put("META-INF/MANIFEST.MF", bytes.toByteArray());
    }

    private static TreeMap<String, byte[]> entries(Bundle bundle) throws IOException {
        TreeMap<String, byte[]> entries = new TreeMap<>();
        List<String> folders = new ArrayList<>(List.of("/"));
        while (!folders.isEmpty()) {
            Enumeration<String> paths = bundle.getEntryPaths(folders.remove(0));
            for (String path : paths == null ? List.<String>of() : Collections.list(paths)) {
                if (path.endsWith("/")) {
                    folders.add(path);
                } else {
                    try (InputStream content = bundle.getEntry(path).openStream()) {
                        entries.put(path, content.readAllBytes());
                    }
                }
            }
        }
        return entries;
    }

    private Path jar(String name, Map<String, byte[]> entries) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JarOutputStream jar = new JarOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                jar.putNextEntry(new JarEntry(entry.getKey()));
                jar.write(entry.getValue());
            }
        }
        return Files.write(directory.resolve(name), bytes.toByteArray());
    }
}
