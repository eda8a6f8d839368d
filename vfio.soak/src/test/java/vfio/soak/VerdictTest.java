// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.networknt.schema.InputFormat;
import com.networknt.schema.Schema;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.swap.Swap;

class VerdictTest {
    private static final Leaks.Left NOTHING = new Leaks.Left(List.of(), Map.of());

    private static final List<String> WARNINGS = List.of("/phy: no \"wire\"");

    private static Referee good() {
        Referee referee = new Referee();
        referee.swap("stop", "iommu.pamu");
        referee.swap("swap", "soak 1 to pamu");
        referee.swap("stop", "irq.mpic");
        referee.bytesVerified.add(4096);
        referee.raised.add(5);
        referee.delivered.add(4);
        referee.expectedFaults.add(7);
        for (long nanos : new long[] {30_000, 0, 10_000, 20_000}) {
            referee.reports
                .add(new Swap(Instant.EPOCH, "soak 1", Swap.Backend.IOMMU, "a", "b", 2, 16, 3, 2, nanos, 1, 0, 1, ""));
        }
        return referee;
    }

    private static Verdict verdict(Referee referee) {
        return new Verdict(new Settings(5, 42), "a board", WARNINGS, referee, 5, Optional.of(NOTHING));
    }

    @DisplayName("The JSON: exactly the fields it is known for, with what was counted")
    @Test
    void json() {
        JsonObject json = JsonParser.parseString(verdict(good()).json()).getAsJsonObject();
        assertEquals(Set.of("version", "seconds", "ran", "seed", "warnings", "swaps", "byKind", "dma", "msi", "faults",
            "blockedMicros", "leaks", "ok"), json.keySet());
        assertEquals(
            "{\"version\":1,\"seconds\":5,\"ran\":5.0,\"seed\":42,\"warnings\":[\"/phy: no "
                + "\\\"wire\\\"\"],\"swaps\":3,\"byKind\":{\"stop\":2,\"swap\":1},"
            + "\"dma\":{\"bytesVerified\":4096,\"mismatches\":0,\"strayWrites\":0},"
            + "\"msi\":{\"raised\":5,\"delivered\":4,\"lost\":0,\"duplicated\":0},\"faults\":{\"expected\":7,\"unexpected\":0},"
            + "\"blockedMicros\":{\"p50\":20,\"p99\":30,\"max\":30},\"leaks\":{\"threads\":0,\"classLoaders\":0},\"ok\":true}",
            json.toString());
    }

    @DisplayName("The JSON is what docs/soak.schema.json says, whether or not anybody could look for what was left")
    @Test
    void schema() throws IOException {
        Schema schema = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_2020_12)
            .getSchema(Files.readString(Path.of("..", "docs", "soak.schema.json")));
        assertEquals(List.of(), schema.validate(verdict(good()).json(), InputFormat.JSON));
        Verdict hung = new Verdict(new Settings(5, 42), "a board", WARNINGS, good(), 0.25, Optional.empty());
        assertEquals(List.of(), schema.validate(hung.json(), InputFormat.JSON));
        assertEquals(1, schema.validate(hung.json().replace("{}", "{\"threads\": 0}"), InputFormat.JSON).size());
    }

    @DisplayName("Each kind of failure makes the verdict NOT OK, and is named")
    @Test
    void notOk() {
        assertTrue(verdict(good()).ok());
        assertTrue(verdict(good()).text().contains("OK: every promise held; --seed 42 "));
        assertTrue(verdict(good()).text().contains("\nWarning: /phy: no \"wire\"\n"));
        for (Consumer<Referee> wrong : List.<Consumer<Referee>>of(one -> one.mismatches.increment(),
            one -> one.strayWrites.increment(),
                one -> one.lost.increment(), one -> one.duplicated.increment(), one -> one.unexpectedFaults.increment(),
                one -> one.fail("%s", "it broke"), one -> one.bytesVerified.reset(), one -> one.delivered.reset())) {
            Referee referee = good();
            wrong.accept(referee);
            assertFalse(verdict(referee).ok());
            assertTrue(verdict(referee).text().contains("NOT OK"), verdict(referee).text());
        }
        Referee nothing = new Referee();
        nothing.bytesVerified.add(1);
        nothing.delivered.add(1);
        assertFalse(verdict(nothing).ok(), "nothing was swapped");
        Verdict left = new Verdict(new Settings(5, 42), "a board", WARNINGS, good(), 5,
            Optional.of(new Leaks.Left(List.of("worker"), Map.of("iommu.pamu 1.0.0", 2))));
        assertFalse(left.ok());
        assertTrue(left.text().contains("thread left: worker"));
        assertTrue(left.text().contains("class loader left: iommu.pamu 1.0.0, 2 times"));
        assertTrue(left.json().contains("\"classLoaders\": 2"));
    }

    @DisplayName("The first failure comes with what was being swapped, each with its cause")
    @Test
    void failures() {
        Referee referee = good();
        referee.fail("a worker", new ErrnoException(Errno.EIO, new IllegalStateException("deep down"), "on top"));
        referee.fail("a second one");
        String text = verdict(referee).text();
        assertTrue(text.contains("stop irq.mpic"), text);
        assertTrue(text.contains("EIO: on top"), text);
        assertTrue(text.contains("deep down"), text);
        assertTrue(text.contains("a second one"), text);
        assertEquals(2, referee.failed());
    }

    @DisplayName("Quantiles: the smallest value that the given share does not exceed")
    @Test
    void quantiles() {
        assertEquals(0, Verdict.quantile(new long[0], 0.5));
        assertEquals(7, Verdict.quantile(new long[] {7}, 0.99));
        long[] hundred = new long[100];
        for (int i = 0; i < 100; i++) {
            hundred[i] = i + 1;
        }
        assertEquals(50, Verdict.quantile(hundred, 0.5));
        assertEquals(99, Verdict.quantile(hundred, 0.99));
        assertEquals(100, Verdict.quantile(hundred, 1));
    }

    @DisplayName("Settings: from a second to a day")
    @Test
    void settings() {
        for (int seconds : new int[] {0, -1, 86_401}) {
            try {
                new Settings(seconds, 1);
            } catch (ErrnoException e) {
                assertEquals(Errno.EINVAL, e.errno());
                continue;
            }
            throw new AssertionError(seconds + " seconds");
        }
    }
}
