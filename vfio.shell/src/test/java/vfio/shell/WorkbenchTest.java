// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.networknt.schema.InputFormat;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import device.edu.Edu;
import device.edu.EduSettings;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.Windows;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.fdt.FdtMachineSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceReference;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Group;
import vfio.api.Vfio;
import vfio.api.msi.Msis;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;
import vfio.container.VfioService;
import vfio.msi.BankStrategy;

/**
 * What the shell says of containers, transfers, interrupts and swaps, against what is so. Real units, drivers and
 * strategy.
 */
class WorkbenchTest {
    private static final long MIB = 1L << 20;
    private static final String DEVICE = "0000:01:00.0";

    private final List<AutoCloseable> resources = new ArrayList<>();
    private PamuDriver pamu;
    private MpicDriver mpic;
    private VfioService vfio;
    private Workbench bench;
    private Reports reports;
    private Container container;

    @BeforeEach
    void board() throws Exception {
        Path board = Path.of("..", "launcher", "boards", "p4080.dtb");
        Machine machine = new FdtMachineSource().open("p4080.dtb", Files.readAllBytes(board), Map.of());
        Node iommu = node(machine, "fsl,pamu");
        Node pic = node(machine, "fsl,mpic");
        machine.attach(iommu, Pamu.unit(machine, iommu, PamuModel.DEFAULT));
        machine.attach(pic, new Mpic(MpicModel.of(machine, pic, 0), machine.cpus()).unit(pic));
        pamu = keep(new PamuDriver(machine, iommu, PamuSettings.DEFAULT));
        mpic = keep(new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (text, e) -> {
            throw new AssertionError(text, e);
        }));
        vfio = keep(new VfioService(machine));
        vfio.addIommu(pamu, "pamu");
        vfio.addController(mpic);
        vfio.addStrategy(new BankStrategy(), 0);
        vfio.addFunction(keep(new Edu(machine, machine.slots().get(0), 0, 0, EduSettings.DEFAULT)));
        bench = new Workbench(machine, vfio, null);
        bench.controller = mpic;
        reports = new Reports(bench);
        container = vfio.openContainer("guest");
        container.addGroup(vfio.groupOf(DEVICE));
        container.setIommu("pamu");
        container.set(new Geometry(0, 512 * MIB));
        container.set(new Windows(8));
        try (DmaBuffer memory = machine.memory().allocate(128 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 64 * MIB, Access.READ_WRITE);
            container.map(64 * MIB, memory, 64 * MIB, 64 * MIB, Access.READ);
        }
        container.as(Msis.class).call("MAP_MSI_BANK", 0, 256 * MIB);
    }

    @AfterEach
    void close() throws Exception {
        for (int i = resources.size() - 1; i >= 0; i--) {
            resources.get(i).close();
        }
    }

    private <T extends AutoCloseable> T keep(T resource) {
        resources.add(resource);
        return resource;
    }

    private static Node node(Machine machine, String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }

    @DisplayName("A BLOCKED container shows what it holds, as text, picture and JSON, and that nothing passes")
    @Test
    void blocked() {
        vfio.removeIommu(pamu);
        assertEquals(ContainerState.BLOCKED, container.state());
        String text = reports.container(container);
        assertFalse(text.contains("nothing is mapped"), text);
        assertTrue(text.contains("BLOCKED") && text.contains("the provider of pamu is gone")
            && text.contains("every access is refused"), text);
        assertTrue(text.contains("0x4000000") && text.contains("msi bank 0"), text);
        String svg = new Svg(bench).apertures();
        assertFalse(svg.contains("nothing is mapped"), svg);
        assertTrue(svg.contains("BLOCKED"), svg);
        JsonObject json = json().getAsJsonArray("containers").get(0).getAsJsonObject();
        assertEquals("BLOCKED", json.get("state").getAsString());
        assertEquals(container.reason(), json.get("reason").getAsString());
        assertEquals(3, json.getAsJsonArray("windows").size());
        String drawn = new VfioCommands(bench).picture("guest");
        assertTrue(drawn.contains("BLOCKED"), drawn);
    }

    @DisplayName("dma says that an access was refused, and why, and not just that bytes are wrong")
    @Test
    void refused() {
        String said = new VfioCommands(bench).dma("", DEVICE, "0", "64M", "4096");
        assertTrue(said.startsWith("4096 bytes, 2 accesses refused: write at iova 0x4000000: DENIED; "), said);
        assertEquals(2, json().getAsJsonObject("dma").get("refused").getAsLong());
        assertTrue(bench.journal().failures().get(0).contains("DENIED"), bench.journal().failures().toString());
        assertEquals("4096 bytes, 0 wrong", new VfioCommands(bench).dma("", DEVICE, "0", "1M", "4096"));
        assertEquals(2, json().getAsJsonObject("dma").get("refused").getAsLong());
    }

    @DisplayName("ring calls an MSI that has no interrupt controller an MSI that waits; the machine and the report "
        + "are shown without one")
    @Test
    void waits() throws Exception {
        VfioCommands commands = new VfioCommands(bench);
        commands.irq(DEVICE, "msi");
        vfio.removeController(mpic);
        bench.controller = null;
        bench.patienceMillis = 1;
        String said = commands.ring(DEVICE);
        assertTrue(said.startsWith("MSI that waits (" + container.reason() + "): 0 delivered"), said);
        assertTrue(container.reason().contains("interrupt controller"), container.reason());
        JsonObject msi = json().getAsJsonObject("msi");
        assertEquals(List.of(1L, 0L), List.of(msi.get("raised").getAsLong(), msi.get("delivered").getAsLong()));
        assertTrue(json().getAsJsonObject("machine").get("msiBanks").isJsonNull());
        assertTrue(reports.all().contains("MSI without a known vector"), reports.all());
        assertTrue(commands.machine().contains("No interrupt controller"), commands.machine());
        assertEquals("pin", new Journal.Interrupt("guest", "d", false, -1, -1, 0, 0, 1, 0, 5).through());
    }

    @DisplayName("swaps lists requests that were not carried out; backends are listed by their offers, whatever "
        + "their names")
    @Test
    void failedSwaps() {
        SwapCommands commands = new SwapCommands(context("acme.iommu", Iommu.class), bench);
        assertTrue(commands.swaps().startsWith("nothing was swapped yet"), commands.swaps());
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, () -> commands.swap("guest", "type9")).errno());
        ErrnoException unknown = assertThrows(ErrnoException.class, () -> commands.swap("nobody"));
        assertTrue(unknown.getMessage().endsWith("containers [guest] and backends [acme.iommu]"), unknown.getMessage());
        String said = commands.swaps();
        assertFalse(said.contains("nothing was swapped"), said);
        assertTrue(said.contains("no IOMMU of type type9") && said.contains(unknown.getMessage()), said);
        assertEquals(2, json().getAsJsonArray("failedSwaps").size());
        assertTrue(reports.all().contains("type9"), reports.all());
    }

    /** The same VFIO as a world without extensions would show it. */
    private <T> T plain(Class<T> type, T real) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> switch (method.getName()) {
                case "extension" -> Optional.empty();
                case "as" -> InvocationHandler.invokeDefault(self, method, arguments);
                case "containers" -> List.of(plain(Container.class, container));
                case "container" -> Optional.of(plain(Container.class, container));
                case "groupOf" -> plain(Group.class, vfio.groupOf((String) arguments[0]));
                default -> method.invoke(real, arguments);
            }));
    }

    @DisplayName("In a world without a choice of MSIs and without swaps, what needs them is ENOTTY, naming what is "
        + "missing; all else works")
    @Test
    void withoutExtensions() throws Exception {
        Workbench plain = new Workbench(bench.machine(), plain(Vfio.class, vfio), null);
        VfioCommands commands = new VfioCommands(plain);
        BundleContext context = context("acme.iommu", Iommu.class);
        SwapCommands swaps = new SwapCommands(context, plain);
        commands.irq(DEVICE, "msi");
        for (Executable one : List.<Executable>of(() -> commands.msi("guest", "GET_MSI_BANK_COUNT"),
            () -> commands.strategies("guest"), () -> commands.use("guest", "bank"),
            () -> commands.banks("guest", "0", "4", "5"), () -> commands.policy("guest", "packed"),
            () -> plain.forge(DEVICE, DEVICE, 0, "", ""))) {
            ErrnoException e = assertThrows(ErrnoException.class, one);
            assertEquals("ENOTTY: container guest has no vfio.api.msi.Msis; go without, or use a VFIO that has them",
                e.getMessage());
        }
        for (Executable one : List.<Executable>of(() -> swaps.swap("guest", "pamu"), () -> swaps.retry("guest"),
            () -> swaps.stall("guest"), () -> swaps.stall("guest", "5"), swaps::swaps,
            () -> swaps.swap("acme.iommu"))) {
            ErrnoException e = assertThrows(ErrnoException.class, one);
            assertTrue(e.errno() == Errno.ENOTTY && e.reason().contains(" has no vfio.api.swap."), e.getMessage());
        }
        assertEquals("MSI by a way that only its host knows", commands.irq(DEVICE, "msi"));
        String rung = commands.ring(DEVICE);
        assertTrue(rung.startsWith("MSI without a known vector: 1 delivered to its own eventfd, 0 to others"), rung);
        assertEquals("4096 bytes, 0 wrong", commands.dma("", DEVICE, "0", "1M", "4096"));
        String containers = commands.containers();
        assertTrue(containers.startsWith("Container guest: pamu, ACTIVE, aperture 0x0..0x1fffffff of"), containers);
        assertFalse(containers.contains("msi bank"), containers);
        assertTrue(commands.report().contains("OK"), commands.report());
        assertTrue(new Svg(plain).apertures().contains("memory RW 64 MiB"));
        JsonObject run = JsonParser.parseString(new Json(plain).run()).getAsJsonObject();
        assertEquals(List.of(), wrong(Files.readString(Path.of("..", "docs", "run.schema.json")), run.toString()));
        assertTrue(run.getAsJsonArray("containers").get(0).getAsJsonObject().get("strategy").isJsonNull());
        assertEquals(0, run.getAsJsonArray("swaps").size());
        assertEquals(List.of(), new Completions(strategist("bank", new BankStrategy()), plain).__operations("guest"));
    }

    @DisplayName("The JSON of a run is what docs/run.schema.json says, with faults, swaps, failed swaps and a "
        + "BLOCKED container in it, too")
    @Test
    void schema() throws Exception {
        String schema = Files.readString(Path.of("..", "docs", "run.schema.json"));
        VfioCommands commands = new VfioCommands(bench);
        commands.refused("", DEVICE, "read", "0x8000000", "UNMAPPED");
        commands.refused("", DEVICE, "write", "0x4000000", "DENIED");
        container.as(Backends.class).swap("pamu");
        assertThrows(ErrnoException.class,
            () -> new SwapCommands(context("acme.iommu", Iommu.class), bench).swap("guest", "type9"));
        commands.irq(DEVICE, "msi");
        commands.ring(DEVICE);
        commands.note("a note");
        commands.fail("a failure");
        assertEquals(List.of(), wrong(schema, new Json(bench).run()));
        JsonObject run = json();
        assertEquals(List.of("UNMAPPED", "DENIED"), run.getAsJsonArray("faults").asList().stream()
            .map(fault -> fault.getAsJsonObject().get("reason").getAsString()).toList());
        assertEquals(List.of("WAV", "APV"), run.getAsJsonArray("faults").asList().stream()
            .map(fault -> fault.getAsJsonObject().get("recorded").getAsString()).toList());
        String at = run.getAsJsonArray("swaps").get(0).getAsJsonObject().get("at").getAsString();
        assertEquals(vfio.as(Swaps.class).latest().get(0).at(), Instant.parse(at));
        vfio.removeIommu(pamu);
        assertEquals(List.of(), wrong(schema, new Json(bench).run()));
        run.addProperty("surplus", 1);
        run.remove("version");
        assertEquals(2, wrong(schema, run.toString()).size(), "the schema is strict");
    }

    @DisplayName("The JSON of a comparison is what docs/compare.schema.json says, of strategies that work and of "
        + "those that do not")
    @Test
    void comparisonSchema() throws Exception {
        String schema = Files.readString(Path.of("..", "docs", "compare.schema.json"));
        Comparison comparison = new Comparison(bench);
        comparison.results().add(ComparisonTest.result(true, 5, 5, 64, 0, ""));
        comparison.results().add(ComparisonTest.result(false, 0, 0, 0, 0, ""));
        JsonObject json = JsonParser.parseString(new ComparisonReport(bench, comparison).json()).getAsJsonObject();
        // Nothing was measured here.
        json.addProperty("atomicAddNanos", 5.5);
        json.getAsJsonArray("strategies").forEach(one -> one.getAsJsonObject().addProperty("atomicAdds", 1));
        assertEquals(List.of(), wrong(schema, json.toString()));
        json.addProperty("ok", "yes");
        assertEquals(1, wrong(schema, json.toString()).size());
    }

    private static List<String> wrong(String schema, String json) {
        return SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12).getSchema(schema)
            .validate(json, InputFormat.JSON).stream()
            .map(Object::toString).toList();
    }

    @DisplayName("A picture tells R, W and RW apart, has in its legend what is in it and nothing else, and is no "
        + "wider than a screen")
    @Test
    void picture() {
        String svg = new Svg(bench).apertures();
        assertTrue(
            svg.contains("memory RW 64 MiB") && svg.contains("memory R 64 MiB") && svg.contains("msi bank 0 W 4 KiB"),
            svg);
        assertTrue(svg.contains(">memory, RW<") && svg.contains(">memory, R<") && svg.contains(">MSI bank, 4 KiB, W<"),
            svg);
        assertFalse(svg.contains(">memory, W<"), svg);
        assertEquals(2, svg.split("fill=\"url\\(#reads\\)\"", -1).length - 1, "the window and the legend");
        Layout layout = Layout.of(container);
        Svg.Aperture one = new Svg.Aperture("one", "", new Layout(layout.geometry(), 1, layout.rows().subList(0, 1)));
        String seven = Svg.draw("seven", Collections.nCopies(7, one));
        int width = Integer.parseInt(seven.replaceAll("(?s).*?width=\"([0-9]+)\".*", "$1"));
        assertTrue(width <= 1920, "" + width);
        assertEquals(7, seven.split(">one<", -1).length - 1);
        assertFalse(seven.contains(">MSI bank") || seven.contains(">refused<") || seven.contains(">memory, R<"), seven);
    }

    @DisplayName("Completions are what exists now: containers, slots with a free place, devices, types, strategies, "
        + "backends")
    @Test
    void completions() {
        Completions completions = new Completions(strategist("bank", new BankStrategy()), bench);
        vfio.openContainer("other");
        assertEquals(List.of("guest", "other"), completions.__containers());
        assertEquals(List.of("pcie0", "pcie1", "pcie2", "dma0", "dma1"), completions.__slots());
        assertEquals(List.of(DEVICE), completions.__devices("guest"));
        assertEquals(List.of(), completions.__plugged(), "it was not plugged here");
        assertEquals(List.of("pamu"), completions.__iommus());
        assertEquals(List.of("bank"), completions.__strategies("guest"));
        assertEquals(List.of("mine"), completions.__backends());
        assertEquals(List.of("pamu"), completions.__replacements("guest"));
        assertEquals(List.of("*.jar"), completions.__replacements("iommu.pamu"));
        assertEquals(List.of("explain", "use", "GET_MSI_BANK_COUNT", "MAP_MSI_BANK", "MOVE_MSI_BANK", "UNMAP_MSI_BANK"),
            completions.__operations("guest"));
        assertEquals(List.of("explain", "use"), completions.__operations("other"));
        assertEquals(List.of("bank"), completions.__operands("guest", "use"));
        assertEquals(List.of(), completions.__operands("guest", "MAP_MSI_BANK"));
        assertEquals(List.of("first_fit", "isolated", "packed", "spread"), completions.__policies());
        assertTrue(completions.__refusals().containsAll(List.of("OUTSIDE", "UNMAPPED", "DENIED")));
        assertTrue(completions.__errnos().contains("EINVAL"));
        assertFalse(completions.__places("pcie0").contains("00.0"), "it is taken");
        assertTrue(completions.__places("pcie1").contains("00.0"));
        bench.machine().slots().stream().filter(slot -> slot.name().equals("dma0")).forEach(slot -> bench.free(slot)
            .forEach(place -> vfio.addFunction(
                keep(new Edu(bench.machine(), slot, place.device(), place.function(), EduSettings.DEFAULT)))));
        assertEquals(List.of("pcie0", "pcie1", "pcie2", "dma1"), completions.__slots(), "one is full");
        container.close();
        pamu.close();
        vfio.removeIommu(pamu);
        assertEquals(List.of("other"), completions.__containers());
        assertEquals(List.of(), completions.__iommus());
    }

    @DisplayName("Completions answer while a container is busy, as in a swap, whatever that waits for")
    @Test
    @Timeout(60)
    void completionsMeanwhile() throws Exception {
        CountDownLatch busy = new CountDownLatch(1);
        CountDownLatch free = new CountDownLatch(1);
        MsiStrategy bank = new BankStrategy();
        vfio.addStrategy((MsiStrategy) Proxy.newProxyInstance(MsiStrategy.class.getClassLoader(),
            new Class<?>[] {MsiStrategy.class}, (self, method, arguments) -> {
                if (method.getName().equals("assess")) {
                    busy.countDown();
                    free.await();
                }
                return method.getName().equals("name") ? "slow" : method.invoke(bank, arguments);
            }), 0);
        Thread explains = new Thread(container.as(Msis.class)::explain);
        explains.start();
        busy.await();
        Completions completions = new Completions(strategist("bank", new BankStrategy()), bench);
        assertEquals(List.of("guest"), completions.__containers());
        assertEquals(List.of("pamu"), completions.__replacements("guest"));
        assertEquals(List.of("bank"), completions.__strategies("guest"));
        assertEquals(List.of(DEVICE), completions.__devices());
        assertEquals(List.of("pcie0", "pcie1", "pcie2", "dma0", "dma1"), completions.__slots());
        assertTrue(explains.isAlive());
        free.countDown();
        explains.join();
    }

    /** A framework with one bundle, which provides an MSI strategy. */
    private static BundleContext strategist(String name, MsiStrategy strategy) {
        Map<String, Object> properties = Map.of("objectClass", new String[] {MsiStrategy.class.getName()},
            "msi.strategy", name);
        ServiceReference<?> reference = (ServiceReference<?>) Proxy.newProxyInstance(
            ServiceReference.class.getClassLoader(), new Class<?>[] {ServiceReference.class},
            (self, method, arguments) -> method.getName().equals("getProperty")
                ? properties.get(arguments[0]) : null);
        Bundle one = fake(Bundle.class,
            Map.of("getSymbolicName", "mine", "getRegisteredServices", new ServiceReference<?>[] {reference}));
        return fake(BundleContext.class,
            Map.of("getBundles", new Bundle[] {one}, "getServiceReferences", List.of(reference), "getService",
            strategy, "ungetService", true));
    }

    private JsonObject json() {
        return JsonParser.parseString(new Json(bench).run()).getAsJsonObject();
    }

    /** A framework with one bundle that registers one service, and one that has no name. */
    private static BundleContext context(String name, Class<?> service) {
        ServiceReference<?> reference = fake(ServiceReference.class,
            Map.of("getProperty", new String[] {service.getName()}));
        Bundle one = fake(Bundle.class,
            Map.of("getSymbolicName", name, "getRegisteredServices", new ServiceReference<?>[] {reference}));
        return fake(BundleContext.class, Map.of("getBundles", new Bundle[] {fake(Bundle.class, Map.of()), one}));
    }

    /**
     * Answers what is given, by the method's name, and null, or whatever a primitive has for it, to everything else.
     */
    private static <T> T fake(Class<T> type, Map<String, Object> answers) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> answers.get(method.getName())));
    }
}
