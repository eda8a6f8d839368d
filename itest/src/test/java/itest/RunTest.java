// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The main job as a user starts it: the executable jar in a process of its own, over every board there is. Several at a
 * time.
 */
class RunTest {
    private static final Path LAUNCHER = Path.of("..", "launcher").toAbsolutePath().normalize();
    private static final double PATIENCE = Pace.of(System.getProperty("gantry.patience"));
    private static final Path REAL = LAUNCHER.resolve("../../shared/boards").normalize();
    private static final String PAMU = "p4080.jar";
    private static final String PC = "q35.jar";
    private static final String QEMU_PC = "qemu-q35.jar";
    private static final String QEMU_BOARD = "qemu-e500.jar";

    @TempDir
    private Path directory;

    private record Result(int status, String out, String err, JsonObject json) {
    }

    @DisplayName("./gantry run, the example board: DMA, an MSI through every bank, refusals, two containers; and the "
        + "JSON says so")
    @Test
    void example() throws Exception {
        Result result = run(PAMU, LAUNCHER.resolve("boards/p4080.dtb"));
        assertEquals(0, result.status, result.out + result.err);
        assertEquals("", result.err);
        JsonObject json = result.json;
        assertMachine(json, "Gantry P4080 example board", 5, 3, 256, 3);
        assertEquals(2, json.getAsJsonArray("containers").size());
        JsonObject guest = json.getAsJsonArray("containers").get(0).getAsJsonObject();
        assertEquals("pamu", guest.get("iommu").getAsString());
        assertEquals("bank", guest.get("strategy").getAsString());
        assertEquals(0x20000000L, guest.getAsJsonObject("geometry").get("size").getAsLong());
        JsonArray windows = guest.getAsJsonArray("windows");
        assertEquals(8, windows.size());
        JsonObject bank1 = windows.get(5).getAsJsonObject();
        assertEquals(0x14000000L, bank1.get("iova").getAsLong());
        assertEquals(0xffe045000L, bank1.get("physical").getAsLong());
        assertEquals(4096, bank1.get("size").getAsLong());
        assertEquals("W", bank1.get("access").getAsString());
        assertEquals("msi bank 1", bank1.get("use").getAsString());
        assertTrue(windows.get(7).getAsJsonObject().get("physical").isJsonNull());
        assertEquals(0, json.getAsJsonObject("dma").get("mismatches").getAsLong());
        assertEquals(9, json.getAsJsonObject("dma").get("blocked").getAsLong());
        assertEquals(3, json.getAsJsonObject("msi").getAsJsonObject("perBank").size());
        assertEquals(json.getAsJsonObject("msi").get("raised"), json.getAsJsonObject("msi").get("delivered"));
        List<String> reasons = new ArrayList<>();
        json.getAsJsonArray("faults")
            .forEach(fault -> reasons.add(fault.getAsJsonObject().get("reason").getAsString()));
        assertEquals(
            List.of("UNMAPPED", "DENIED", "OUTSIDE", "OUTSIDE", "UNMAPPED", "UNMAPPED", "UNMAPPED", "UNMAPPED",
                "OUTSIDE"),
            reasons);
        assertTrue(json.get("ok").getAsBoolean());
        assertTrue(Files.readString(directory.resolve("run.svg")).startsWith("<svg"));
    }

    @DisplayName("./gantry run, real QorIQ boards")
    @Test
    void realBoards() throws Exception {
        assertMachine(passes(PAMU, "p4080ds.dtb"), "fsl,P4080DS", 5, 3, 256, 3);
        assertMachine(passes(PAMU, "p2041rdb.dtb"), "fsl,P2041RDB", 4, 3, 256, 3);
        assertMachine(passes(PAMU, "t1042rdb.dtb"), "fsl,T1042RDB", 1, 3, 256, 4);
        JsonObject t4240 = passes(PAMU, "t4240qds.dtb");
        assertMachine(t4240, "fsl,T4240QDS", 6, 4, 512, 4);
        assertEquals(4, t4240.getAsJsonObject("msi").getAsJsonObject("perBank").size());
    }

    @DisplayName("./gantry run, PCs: the example table, QEMU's, a laptop's")
    @Test
    void pcs() throws Exception {
        Result own = run(PC, LAUNCHER.resolve("boards/q35.dmar"));
        assertEquals(0, own.status, own.out + own.err);
        assertEquals(2, own.json.getAsJsonObject("machine").get("drhds").getAsInt());
        assertEquals(1, own.json.getAsJsonObject("machine").get("rmrrs").getAsInt());
        assertTrue(own.json.getAsJsonArray("faults").asList().stream().map(JsonElement::getAsJsonObject)
            .anyMatch(fault -> fault.get("reason").getAsString().equals("DENIED")
                && fault.get("recorded").getAsString().startsWith("0x26")),
            "a forged MSI is refused and recorded");
        assertEquals(4, passes(PC, "surface-laptop-studio.dmar").getAsJsonObject("machine").get("drhds").getAsInt());
        assertEquals(1, passes(PC, "qemu-q35.dmar").getAsJsonObject("machine").get("drhds").getAsInt());
    }

    @DisplayName("./gantry run, compare: a table that is gone on with is warned of, in the report and in the JSON; "
        + "one without fault is not")
    @Test
    void warned() throws Exception {
        Path table = LAUNCHER.resolve("boards/q35.dmar");
        assertEquals(0, run(PC, table).json.getAsJsonArray("warnings").size());
        byte[] bytes = Files.readAllBytes(table);
        bytes[9]++;
        Path wrong = Files.write(directory.resolve("checksum.dmar"), bytes);
        for (String verb : List.of("run", "compare")) {
            Result result = start(PC, verb, "--machine", wrong.toString(), "--json",
                directory.resolve("run.json").toString());
            assertEquals(0, result.status, result.out + result.err);
            JsonArray warnings = result.json.getAsJsonArray("warnings");
            assertEquals(1, warnings.size(), warnings.toString());
            assertTrue(warnings.get(0).getAsString().startsWith("DMAR at offset 0x9: checksum"), warnings.toString());
            assertTrue(result.out.contains("\nWarning: " + warnings.get(0).getAsString() + "\n"), result.out);
            assertEquals("gantry: warning: " + warnings.get(0).getAsString() + "\n", result.err);
        }
    }

    @DisplayName("Real boards with faults that Linux goes on with, and with few places: run, compare and soak work "
        + "with what there is")
    @Test
    void faultyBoards() throws Exception {
        for (String name : List.of("t1040d4rdb-phy-2cells.dtb", "include-all-first.dmar", "qemu-q35.dmar")) {
            Path file = REAL.resolve(name);
            assumeTrue(Files.isReadable(file), () -> "SKIPPED: no test data " + name + " beside the project");
            String jar = name.endsWith(".dtb") ? PAMU : PC;
            for (String verb : List.of("run", "compare", "soak")) {
                List<String> words = new ArrayList<>(
                    List.of(verb, "--machine", file.toString(), "--json", directory.resolve("run.json").toString()));
                words.addAll(verb.equals("soak") ? List.of("--seconds", "3") : List.of());
                Result result = start(jar, words.toArray(new String[0]));
                assertEquals(0, result.status, verb + " " + name + "\n" + result.out + result.err);
                int warnings = name.startsWith("qemu") ? 0 : 1;
                assertEquals(warnings, result.json.getAsJsonArray("warnings").size(), result.json.toString());
                assertEquals(warnings, result.err.lines().count(), result.err);
                assertEquals(warnings, result.out.lines().filter(line -> line.startsWith("Warning: ")).count(),
                    result.out);
            }
        }
    }

    @DisplayName("A machine with one place: run says what the scenario needs, status 2; compare and soak do what one "
        + "device can")
    @Test
    void onePlace() throws Exception {
        Path file = REAL.resolve("one-covered-place.dmar");
        assumeTrue(Files.isReadable(file), "SKIPPED: no test data one-covered-place.dmar beside the project");
        assertRefused(run(PC, file), "the scenario needs places for 2 devices");
        Result compared = start(PC, "compare", "--machine", file.toString());
        assertEquals(0, compared.status, compared.out + compared.err);
        Result soaked = start(PC, "soak", "--machine", file.toString(), "--seconds", "3");
        assertEquals(0, soaked.status, soaked.out + soaked.err);
        assertTrue(soaked.out.contains("1 container with 1 device, no place for a rogue device, bursts, a pin"),
            soaked.out);
    }

    @DisplayName("./gantry run --machine qemu:q35: QEMU's VT-d, local APIC and edu under these drivers")
    @Test
    void qemuPc() throws Exception {
        assumeQemu("qemu-system-x86_64");
        Result result = run(QEMU_PC, Path.of("qemu:q35"));
        assertEquals(0, result.status, result.out + result.err);
        assertEquals("", result.err);
        assertTrue(result.json.getAsJsonObject("machine").get("model").getAsString().matches("QEMU \\S+ q35"));
        assertEquals(6, result.json.getAsJsonObject("dma").get("transfers").getAsInt());
        assertEquals(0, result.json.getAsJsonObject("dma").get("mismatches").getAsInt());
        assertEquals(3, result.json.getAsJsonObject("msi").get("delivered").getAsInt());
        assertEquals(List.of("0x06", "0x05", "0x05", "0x06"), result.json.getAsJsonArray("faults").asList().stream()
            .map(fault -> fault.getAsJsonObject().get("recorded").getAsString().substring(0, 4)).toList());
        Path plug = Files.writeString(directory.resolve("plug.gosh"), "plug pci0 9.0\n");
        Result refused = start(QEMU_PC, "run", plug.toString());
        assertEquals(1, refused.status, refused.out + refused.err);
        assertTrue(refused.err.contains("plug.gosh:1: EOPNOTSUPP: the devices at slot pci0 are the machine's own"),
            refused.err);
    }

    @DisplayName("./gantry run --machine qemu:ppce500: QEMU's MPIC under this driver; without QEMU one line says "
        + "which package has it")
    @Test
    void qemuBoard() throws Exception {
        assertRefused(start(QEMU_BOARD, "run", "--machine", "qemu:ppce500", "--set", "qemu=/nowhere/qemu"),
            "apt-get install --no-install-recommends qemu-system-ppc");
        assertRefused(start(QEMU_BOARD, "run", "--machine", "qemu:nowhere"), "qemu:mpc8544ds");
        assumeQemu("qemu-system-ppc");
        Result result = run(QEMU_BOARD, Path.of("qemu:ppce500"));
        assertEquals(0, result.status, result.out + result.err);
        assertEquals("", result.err);
        assertEquals(9, result.json.getAsJsonObject("msi").get("delivered").getAsInt());
        assertTrue(result.out.contains("OK: 0 transfers (0 bytes compared), 14 interrupts"), result.out);
    }

    private static void assumeQemu(String binary) {
        assumeTrue(Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
            .anyMatch(place -> Files.isExecutable(Path.of(place, binary))), () -> "SKIPPED: there is no " + binary);
    }

    @DisplayName("./gantry compare: each strategy that works delivers every interrupt and verifies every byte, on "
        + "each board")
    @Test
    void compare() throws Exception {
        JsonObject board = compares(PAMU, LAUNCHER.resolve("boards/p4080.dtb"));
        Map<String, JsonObject> strategies = new LinkedHashMap<>();
        board.getAsJsonArray("strategies")
            .forEach(one -> strategies.put(one.getAsJsonObject().get("name").getAsString(),
            one.getAsJsonObject()));
        assertEquals(List.of("reserved", "bank", "window", "topdown", "tail", "flag", "fd"),
            List.copyOf(strategies.keySet()));
        assertEquals(List.of(false, true, true, true, true, true, true),
            strategies.values().stream().map(one -> one.get("feasible").getAsBoolean()).toList());
        assertEquals(List.of(0, 4, 0, 1, 0, 3, 9),
            strategies.values().stream().map(one -> one.get("userOperations").getAsInt()).toList());
        assertEquals(List.of(0, 3, 3, 2, 2, 3, 3),
            strategies.values().stream().map(one -> one.get("windowsUsed").getAsInt()).toList());
        assertEquals("bank 2 placed at 0x14000000 for it", strategies.get("tail").get("hotPlug").getAsString());
        assertEquals("512 MiB in 4 windows", strategies.get("bank").get("smallestAperture").getAsString());
        assertEquals("512 MiB in 8 windows", strategies.get("tail").get("smallestAperture").getAsString());
        assertEquals(3 * ((64 << 20) - 4096), strategies.get("bank").get("bytesWasted").getAsInt());
        assertEquals(3, strategies.get("bank").getAsJsonObject("perBank").size());
        JsonObject pc = compares(PC, LAUNCHER.resolve("boards/q35.dmar"));
        assertEquals(1, pc.getAsJsonArray("strategies").asList().stream()
            .filter(one -> one.getAsJsonObject().get("feasible").getAsBoolean()).count());
        for (String name : List.of("p4080ds.dtb", "p2041rdb.dtb", "t1042rdb.dtb", "t4240qds.dtb")) {
            if (Files.isReadable(REAL.resolve(name))) {
                compares(PAMU, REAL.resolve(name));
            }
        }
    }

    private JsonObject compares(String jar, Path machine) throws Exception {
        Result result = start(jar, "compare", "--machine", machine.toString(), "--json",
            directory.resolve("run.json").toString(), "--svg", directory.resolve("run.svg").toString());
        assertEquals(0, result.status, machine + "\n" + result.out + result.err);
        assertTrue(result.json.get("ok").getAsBoolean());
        result.json.getAsJsonArray("strategies").asList().stream().map(JsonElement::getAsJsonObject)
            .filter(one -> one.get("feasible").getAsBoolean()).forEach(one -> {
                assertTrue(one.get("vectorsRaised").getAsLong() > 5000);
                assertEquals(one.get("vectorsRaised"), one.get("vectorsDelivered"));
                assertEquals(0, one.get("mismatches").getAsLong());
            });
        assertTrue(Files.readString(directory.resolve("run.svg")).startsWith("<svg"));
        return result.json;
    }

    @DisplayName("./gantry soak: exit status 0, the seed at the beginning and at the end, all in the JSON")
    @Test
    void soak() throws Exception {
        for (String jar : List.of(PAMU, PC)) {
            Result result = start(jar, "soak", "--seconds", "3", "--seed", "0x5eed", "--json",
                directory.resolve("run.json").toString());
            assertEquals(0, result.status, result.out + result.err);
            assertTrue(result.out.lines().findFirst().orElseThrow().endsWith("for 3 s, seed " + 0x5eed), result.out);
            assertTrue(result.out.contains("OK: every promise held; --seed " + 0x5eed), result.out);
            assertEquals(0x5eed, result.json.get("seed").getAsLong());
            assertTrue(result.json.get("ok").getAsBoolean());
        }
        assertRefused(start(PAMU, "soak", "--seconds", "0"), "must be 1..86400");
        assertRefused(start(PAMU, "soak", "--seed", "red"), "'red'");
        assertRefused(start(PAMU, "soak", "--json", directory.resolve("nowhere/run.json").toString()),
            "no such directory");
    }

    @DisplayName("./gantry soak, ended by a signal: the verdict of what was done until then, its seed, its JSON, "
        + "nothing left in the temp folder")
    @Test
    void soakEndedEarly() throws Exception {
        Path temporary = Files.createDirectory(directory.resolve("tmp"));
        Process process = process(List.of("-Djava.io.tmpdir=" + temporary), PAMU, "soak", "--seconds", "600", "--seed",
            "0x5eed", "--json", directory.resolve("run.json").toString());
        Path out = directory.resolve("out");
        Pace.await("swaps", seconds(15), () -> Files.readString(out).contains("5/600 s"));
        // SIGTERM; a terminal's Ctrl-C goes the same way.
        process.destroy();
        Result result = end(process);
        assertEquals(143, result.status, result.out + result.err);
        assertTrue(
            result.out.contains("OK: every promise held in the ")
                && result.out.contains("s of 600 s that it ran; --seed " + 0x5eed),
            result.out);
        assertTrue(result.json.get("ok").getAsBoolean());
        assertEquals(600, result.json.get("seconds").getAsInt());
        assertTrue(result.json.get("ran").getAsDouble() >= 5 && result.json.get("ran").getAsDouble() < 60, result.out);
        try (Stream<Path> left = Files.list(temporary)) {
            assertEquals(List.of(), left.toList());
        }
    }

    @DisplayName("vfio:swap, vfio:swaps, vfio:stall, vfio:retry: a container is moved and its backends' bundles are "
        + "replaced in a scenario")
    @Test
    void swap() throws Exception {
        Path scenario = Files.writeString(directory.resolve("swap.gosh"), """
            one = (plug ((slots) get 0))
            open guest $one
            geometry guest 0 512M 8
            map guest 0 256M
            banks guest 0 4 6
            irq $one msi
            ring $one
            echo (swaps)
            echo (swap guest pamu)
            dma $one 0 0x4000000 4096
            ring $one
            echo (swap iommu.pamu)
            dma $one 0 0x4000000 4096
            ring $one
            echo (swap irq.mpic)
            ring $one
            stall guest 20
            echo (stall guest)
            echo (retry guest)
            rejected EINVAL "a bound of more than an hour" { stall guest 3600001 }
            rejected ENOENT "neither container nor bundle" { swap nobody }
            rejected ENODEV "no such type" { swap guest type1 }
            echo (swaps)
            """);
        Result result = start(PAMU, "run", scenario.toString(), "--json", directory.resolve("run.json").toString());
        assertEquals(0, result.status, result.out + result.err);
        assertEquals("", result.err);
        assertTrue(result.out.contains("nothing was swapped yet"), result.out);
        assertTrue(result.out.contains("20 ms"), result.out);
        assertTrue(result.out.contains("guest is ACTIVE"), result.out);
        JsonArray swaps = result.json.getAsJsonArray("swaps");
        assertEquals(List.of("iommu", "iommu", "controller"), swaps.asList().stream()
            .map(one -> one.getAsJsonObject().get("backend").getAsString()).toList(), result.out);
        swaps.asList().stream().map(JsonElement::getAsJsonObject).forEach(one -> {
            assertEquals("", one.get("failure").getAsString());
            assertEquals(1, one.get("routes").getAsInt());
        });
    }

    @DisplayName("vfio:strategies, vfio:use: a container changes its strategy in a scenario; msi … explain and msi … "
        + "use are the same")
    @Test
    void use() throws Exception {
        Path scenario = Files.writeString(directory.resolve("use.gosh"), """
            one = (plug ((slots) get 0))
            open guest $one
            geometry guest 0 512M 8
            map guest 0 256M
            banks guest 0 4 6
            irq $one msi
            ring $one
            echo (use guest tail)
            ring $one
            echo (msi guest use fd)
            ring $one
            echo (strategies guest)
            echo (msi guest explain)
            rejected ENOENT "no such strategy" { use guest none }
            use guest ''
            ring $one
            """);
        Result result = start(PAMU, "run", scenario.toString());
        assertEquals(0, result.status, result.out + result.err);
        assertTrue(result.out.contains("guest uses tail; banks: [0 at 0x1c000000]"), result.out);
        assertTrue(result.out.contains("guest uses fd; banks: [0 at 0x1c000000]"), result.out);
        assertTrue(result.out.lines().filter(line -> line.contains("yes, preferred")).count() >= 2, result.out);
    }

    @DisplayName("--config configures before there is a machine; vfio:config shows, sets and refuses; what is not "
        + "there is status 2")
    @Test
    void configured() throws Exception {
        Path scenario = Files.writeString(directory.resolve("config.gosh"), """
            echo (config)
            echo (config iommu.pamu.unit)
            rejected EINVAL "a bound of more than an hour" { config vfio.container stall.bound 3600001 }
            rejected ENOENT "no such key" { config vfio.container stall.bond 1 }
            one = (plug ((slots) get 0))
            open early $one
            echo (stall early)
            close early
            config vfio.container stall.bound 125
            open late $one
            echo (stall late)
            """);
        Result result = start(PAMU, "run", scenario.toString(), "--config", "vfio.container.stall.bound=250",
            "--config", "iommu.pamu.unit.max.windows=16", "--config=iommu.pamu.violation.policy=disable");
        assertEquals(0, result.status, result.out + result.err);
        assertEquals("", result.err);
        assertTrue(result.out.contains("max.windows = 16 (default 256)"), result.out);
        assertTrue(result.out.indexOf("250 ms") >= 0 && result.out.indexOf("125 ms") > result.out.indexOf("250 ms"),
            result.out);
        assertRefused(start(PAMU, "run", "--config", "vfio.container.stall.bound=for ever"), "legal is 0..3600000");
        assertRefused(start(PAMU, "run", "--config", "vfio.contaner.stall.bound=1"),
            "near is vfio.container.stall.bound");
        assertRefused(start(PAMU, "run", "--config", "vfio.container.stall.bond=1"), "near is stall.bound");
        assertRefused(start(PAMU, "run", "--config", "vfio.container.stall.bound"), "write PID.KEY=VALUE");
    }

    @DisplayName("An unusable machine, scenario or option: one clear line, exit status 2, no stack trace")
    @Test
    void unusable() throws Exception {
        byte[] board = Files.readAllBytes(LAUNCHER.resolve("boards/p4080.dtb"));
        Path truncated = Files.write(directory.resolve("truncated.dtb"), Arrays.copyOf(board, board.length / 2));
        Path text = Files.writeString(directory.resolve("text.dtb"), "not a device tree\n");
        assertRefused(run(PAMU, truncated), "offset 0x");
        assertRefused(run(PAMU, text), "flattened device tree");
        assertRefused(run(PAMU, directory.resolve("missing.dtb")), "there is no file");
        assertRefused(run(PAMU, directory), "not a file");
        assertRefused(start(PAMU, "run", "--what"), "--what");
        assertRefused(start(PAMU, "rum"), "there is no command rum");
        assertRefused(start(PAMU, "run", "--set", "nonsense=1"), "nonsense");
        assertRefused(start(PAMU, "run", "missing.gosh"), "ENOENT: cannot read scenario missing.gosh: no such file");
        Path open = Files.writeString(directory.resolve("open.gosh"), "groups\nopen guest (slots\n");
        assertRefused(start(PAMU, "run", open.toString()), "open.gosh:2: the scenario ends where ')' is missing");
        if (Files.isRegularFile(REAL.resolve("p2020ds.dtb"))) {
            assertRefused(run(PAMU, REAL.resolve("p2020ds.dtb")), "no IOMMU");
        }
    }

    @DisplayName("A scenario: an empty one says so, what looks prints what it sees, an error has its line and how "
        + "the command is called")
    @Test
    void scenario() throws Exception {
        Result empty = start(PAMU, "run", Files.writeString(directory.resolve("empty.gosh"), "# nothing\n").toString());
        assertEquals(0, empty.status, empty.err);
        assertTrue(empty.out.contains("empty.gosh is empty: nothing was done"), empty.out);
        Path looking = Files.writeString(directory.resolve("looking.gosh"), """
            slots
            one = (plug ((slots) get 0))
            open guest $one
            if { true } { groups } { }
            stall guest
            map guest
            """);
        Result result = start(PAMU, "run", looking.toString());
        assertEquals(1, result.status, result.err);
        assertTrue(
            result.out.contains("pcie0") && result.out.contains("requesters") && result.out.contains("\n1000 ms\n"),
            result.out);
        assertEquals("gantry: " + looking + ":6: map does not take this one argument\n"
            + "  usage: map [--physical PHYSICAL] [--scattered] [--access ACCESS] CONTAINER IOVA SIZE\n", result.err);
    }

    @DisplayName("A file that cannot be written is exit 2 before anything is done; - is standard output, and people "
        + "read standard error then")
    @Test
    void outputs() throws Exception {
        String nowhere = directory.resolve("none/x").toString();
        for (String verb : List.of("run", "compare", "soak")) {
            Result result = start(PAMU, verb, "--machine", "missing.dtb", "--json", nowhere);
            assertRefused(result, "ENOENT: cannot write " + nowhere + ": no such directory");
            assertEquals("", result.out);
        }
        Path json = directory.resolve("run.json");
        assertRefused(start(PAMU, "run", "--machine", "missing.dtb", "--json", json.toString()), "there is no file");
        assertFalse(Files.exists(json), "nothing was written to it");
        Result run = start(PAMU, "run", "--json", "-");
        assertEquals(0, run.status, run.err);
        assertTrue(JsonParser.parseString(run.out).getAsJsonObject().get("ok").getAsBoolean());
        assertTrue(run.err.contains("guest: DMA both ways") && run.err.contains("OK: 5 transfers"), run.err);
        Result compare = start(PAMU, "compare", "--json", "-");
        assertEquals(0, compare.status, compare.err);
        assertTrue(JsonParser.parseString(compare.out).getAsJsonObject().get("ok").getAsBoolean());
        Result soak = start(PAMU, "soak", "--seconds", "1", "--json", "-");
        assertEquals(1, JsonParser.parseString(soak.out).getAsJsonObject().get("seconds").getAsInt());
        if (Files.isWritable(Path.of("/dev/full"))) {
            Result full = start(PAMU, "run", "--json", "/dev/full");
            assertEquals(1, full.status, full.err);
            assertEquals("gantry: ENOSPC: cannot write /dev/full: no space left on device\n", full.err);
        }
    }

    @DisplayName("./gantry shell, in a pipe: help lists what is ours and says how one is called, and no line is kept "
        + "in a file")
    @Test
    void shell() throws Exception {
        Process process = open(List.of(), PAMU, "shell");
        try (OutputStream in = process.getOutputStream()) {
            in.write("help\nhelp map\nexit\n".getBytes(StandardCharsets.UTF_8));
        }
        Result result = end(process);
        assertEquals(0, result.status, result.err);
        for (String line : List.of("to look:", "  map           allocate memory and map it", "  soak          .*",
            "  hc            .*",
                "map \\[--physical PHYSICAL] \\[--scattered] \\[--access ACCESS] CONTAINER IOVA SIZE")) {
            assertTrue(result.out.lines().anyMatch(one -> one.matches("(g! )?" + line)), line + "\n" + result.out);
        }
        assertFalse(result.out.contains("addbundlelistener") || result.out.contains("__containers"), result.out);
        assertFalse(Files.exists(directory.resolve("state")));
    }

    @DisplayName("A scenario that finds something else than it expects, or ends early: exit status 1, and the report "
        + "says what")
    @Test
    void notOk() throws Exception {
        Path wrong = Files.writeString(directory.resolve("wrong.gosh"), """
            one = (plug ((slots) get 0))
            open guest $one
            refused $one read 0x1000 DENIED
            map guest 0 1M
            """);
        Result result = start(PAMU, "run", wrong.toString());
        assertEquals(1, result.status, result.out + result.err);
        assertTrue(result.out.contains("expected DENIED"), result.out);
        assertTrue(result.err.contains("wrong.gosh:4: EINVAL"), result.err);
        assertFalse(result.err.contains("\tat "), result.err);
    }

    private JsonObject passes(String jar, String name) throws Exception {
        Path file = REAL.resolve(name);
        assumeTrue(Files.isReadable(file), () -> "SKIPPED: no test data " + name + " beside the project");
        Result result = run(jar, file);
        assertEquals(0, result.status, name + "\n" + result.out + result.err);
        assertTrue(result.json.get("ok").getAsBoolean());
        return result.json;
    }

    private static void assertMachine(JsonObject json, String model, int pamus, int banks, int vectors, int pcie) {
        JsonObject machine = json.getAsJsonObject("machine");
        assertEquals(model, machine.get("model").getAsString());
        assertEquals(pamus, machine.get("pamus").getAsInt());
        assertEquals(banks, machine.get("msiBanks").getAsInt());
        assertEquals(vectors, machine.get("vectorsPerBank").getAsInt());
        assertEquals(pcie, machine.get("pcie").getAsInt());
    }

    private static void assertRefused(Result result, String says) {
        assertEquals(2, result.status, result.out + result.err);
        assertEquals(1, result.err.lines().count(), result.err);
        assertTrue(result.err.startsWith("gantry: ") && result.err.contains(says), result.err);
    }

    private Result run(String jar, Path machine) throws Exception {
        return start(jar, "run", "--machine", machine.toString(), "--json", directory.resolve("run.json").toString(),
            "--svg", directory.resolve("run.svg").toString());
    }

    private Result start(String jar, String... arguments) throws IOException, InterruptedException {
        return end(process(List.of(), jar, arguments));
    }

    private Process process(List<String> flags, String jar, String... arguments) throws IOException {
        Process process = open(flags, jar, arguments);
        process.getOutputStream().close();
        return process;
    }

    private Process open(List<String> flags, String jar, String... arguments) throws IOException {
        Files.deleteIfExists(directory.resolve("run.json"));
        List<String> command = new ArrayList<>(List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC", "-jar", LAUNCHER.resolve("target").resolve(jar).toString()));
        if (Runtime.version().feature() >= 23) {
            command.add(1, "--sun-misc-unsafe-memory-access=allow");
        }
        command.addAll(1, flags);
        // What is executed there counts as tested, too.
        Optional.ofNullable(System.getenv("GANTRY_AGENT")).ifPresent(agent -> command.add(1, agent));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(directory.resolve("out").toFile())
            .redirectError(directory.resolve("err").toFile());
        builder.environment().put("XDG_STATE_HOME", directory.resolve("state").toString());
        return builder.start();
    }

    private static long seconds(long unhurried) {
        return Math.round(unhurried * PATIENCE);
    }

    private Result end(Process process) throws IOException, InterruptedException {
        Path out = directory.resolve("out");
        Path err = directory.resolve("err");
        Path json = directory.resolve("run.json");
        if (!process.waitFor(seconds(60), TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
            throw new AssertionError(
                "not finished after 60 s: " + process.info().commandLine().orElse("") + "\n" + Files.readString(out)
                + Files.readString(err));
        }
        return new Result(process.exitValue(), Files.readString(out), Files.readString(err),
            Files.exists(json) ? JsonParser.parseString(Files.readString(json)).getAsJsonObject() : new JsonObject());
    }
}
