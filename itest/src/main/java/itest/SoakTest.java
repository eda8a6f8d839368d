// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import iommu.api.Iommu;
import irq.api.InterruptController;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import machine.api.Machines;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.CommandSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import vfio.api.Vfio;

/**
 * Every backend swapped again and again under devices at work, in this framework: both kinds of hardware are installed,
 * and the bundles of the machine at hand come and go. {@code -Dgantry.soak.seconds} says for how long, 0 leaves it out;
 * {@code -Dgantry.seed} by which dice. {@code RunTest} soaks both boards through the launcher each time.
 */
@ExtendWith(Cleaned.class)
class SoakTest {
    private static final Set<String> FIELDS = Set.of("version", "seconds", "ran", "seed", "warnings", "swaps", "byKind",
        "dma", "msi", "faults", "blockedMicros", "leaks", "ok");

    @TempDir
    private Path directory;

    @BeforeEach
    void start() throws Exception {
        Framework.awaitStart();
    }

    @AfterEach
    void unload() throws Exception {
        Framework.service(Machines.class).unload();
    }

    @DisplayName("P1 to P5 under load, PAMU: windows, MSI banks behind windows, every life cycle of every backend")
    @Test
    void pamu() throws Exception {
        soak("p4080.dtb", Set.of("disable", "install", "stop", "update", "strategy", "swap", "throw"));
    }

    @DisplayName("P1 to P5 under load, type1: page tables, remapped interrupts, every life cycle of every backend")
    @Test
    void type1() throws Exception {
        soak("q35.dmar", Set.of("disable", "install", "stop", "update", "strategy", "swap", "throw"));
    }

    private void soak(String board, Set<String> kinds) throws Exception {
        assumeTrue(!"0".equals(Framework.CONTEXT.getProperty("gantry.soak.seconds")),
            "SKIPPED: -Dgantry.soak.seconds=0");
        Framework.service(Machines.class).load(Framework.board(board), Map.of());
        Framework.service(Vfio.class);
        Framework.service(Iommu.class);
        Framework.service(InterruptController.class);
        Framework.await("the command",
            () -> Framework.present("(&(osgi.command.scope=vfio)(osgi.command.function=soak))"));
        Path file = directory.resolve("soak.json");
        String seconds = Framework.CONTEXT.getProperty("gantry.soak.seconds");
        String seed = Framework.CONTEXT.getProperty("gantry.seed");
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        Object ok;
        try (PrintStream out = new PrintStream(text, true, StandardCharsets.UTF_8);
             CommandSession session = Framework.service(CommandProcessor.class)
                .createSession(new ByteArrayInputStream(new byte[0]), out, out)) {
            session.put("json", file.toString());
            ok = session.execute(
                "vfio:soak --seconds " + seconds + (seed.isEmpty() ? "" : " --seed " + seed) + " --json $json");
        }
        String said = text.toString(StandardCharsets.UTF_8);
        assertEquals(true, ok, said);
        JsonObject json = JsonParser.parseString(Files.readString(file)).getAsJsonObject();
        assertEquals(FIELDS, json.keySet());
        assertTrue(json.get("ok").getAsBoolean());
        assertEquals(Integer.parseInt(seconds), json.get("seconds").getAsInt());
        // The line that everybody finds in the report, whatever became of the run.
        assertTrue(said.contains("seed " + json.get("seed").getAsLong()), said);
        assertTrue(json.get("swaps").getAsInt() > Integer.parseInt(seconds), said);
        assertTrue(json.getAsJsonObject("byKind").keySet().containsAll(kinds), said);
        assertTrue(json.getAsJsonObject("dma").get("bytesVerified").getAsLong() > 1_000_000, said);
        assertEquals(0, json.getAsJsonObject("dma").get("mismatches").getAsLong()
            + json.getAsJsonObject("dma").get("strayWrites").getAsLong());
        assertEquals(0, json.getAsJsonObject("msi").get("lost").getAsLong()
            + json.getAsJsonObject("msi").get("duplicated").getAsLong());
        assertTrue(json.getAsJsonObject("faults").get("expected").getAsLong() > 0, said);
        assertTrue(json.getAsJsonObject("blockedMicros").get("p50").getAsLong() > 0, said);
        assertEquals(0, json.getAsJsonObject("leaks").get("threads").getAsInt()
            + json.getAsJsonObject("leaks").get("classLoaders").getAsInt());
    }
}
