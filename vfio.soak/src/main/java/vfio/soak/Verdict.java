// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * The result of a soak.
 *
 * @param board the machine's model and what was set up on it
 * @param warnings faults of the machine's description that were tolerated
 * @param ran for how many seconds backends were swapped; fewer than requested if the soak was ended early
 * @param left threads and class loaders left behind; empty if a hang kept the soak from looking, which is never OK
 */
record Verdict(Settings settings, String board, List<String> warnings, Referee referee, double ran,
    Optional<Leaks.Left> left) {
    private static final int SHOWN = 10;
    /**
     * The version of the JSON, {@code docs/soak.schema.json}; it changes when a field is removed or changes its
     * meaning, not when one is added.
     */
    private static final int VERSION = 1;

    /** {@return whether every promise held, and enough was done to tell} */
    boolean ok() {
        return referee.failed() == 0 && referee.mismatches.sum() == 0 && referee.strayWrites.sum() == 0
            && referee.lost.sum() == 0
            && referee.duplicated.sum() == 0 && referee.unexpectedFaults.sum() == 0
            && left.filter(found -> found.threads().isEmpty() && found.loaders().isEmpty()).isPresent()
            && referee.bytesVerified.sum() > 0 && referee.delivered.sum() > 0 && referee.swaps() > 0;
    }

    /** {@return the fields that the README of this bundle describes} */
    String json() {
        JsonObject json = new JsonObject();
        json.addProperty("version", VERSION);
        json.addProperty("seconds", settings.seconds());
        json.addProperty("ran", Math.round(ran * 10) / 10.0);
        json.addProperty("seed", settings.seed());
        JsonArray wrong = new JsonArray();
        warnings.forEach(wrong::add);
        json.add("warnings", wrong);
        json.addProperty("swaps", referee.swaps());
        JsonObject kinds = new JsonObject();
        referee.byKind().forEach(kinds::addProperty);
        json.add("byKind", kinds);
        JsonObject dma = new JsonObject();
        dma.addProperty("bytesVerified", referee.bytesVerified.sum());
        dma.addProperty("mismatches", referee.mismatches.sum());
        dma.addProperty("strayWrites", referee.strayWrites.sum());
        json.add("dma", dma);
        JsonObject msi = new JsonObject();
        msi.addProperty("raised", referee.raised.sum());
        msi.addProperty("delivered", referee.delivered.sum());
        msi.addProperty("lost", referee.lost.sum());
        msi.addProperty("duplicated", referee.duplicated.sum());
        json.add("msi", msi);
        JsonObject faults = new JsonObject();
        faults.addProperty("expected", referee.expectedFaults.sum());
        faults.addProperty("unexpected", referee.unexpectedFaults.sum());
        json.add("faults", faults);
        long[] blocked = referee.reports.blockedMicros();
        JsonObject micros = new JsonObject();
        micros.addProperty("p50", quantile(blocked, 0.5));
        micros.addProperty("p99", quantile(blocked, 0.99));
        micros.addProperty("max", quantile(blocked, 1));
        json.add("blockedMicros", micros);
        JsonObject leaks = new JsonObject();
        left.ifPresent(found -> {
            leaks.addProperty("threads", found.threads().size());
            leaks.addProperty("classLoaders", sum(found));
        });
        json.add("leaks", leaks);
        json.addProperty("ok", ok());
        return new GsonBuilder().setPrettyPrinting().create().toJson(json) + "\n";
    }

    /** {@return the verdict as text, with the failures} */
    String text() {
        StringBuilder text = new StringBuilder();
        long[] blocked = referee.reports.blockedMicros();
        Reports reports = referee.reports;
        line(text, "board", "%s", board);
        line(text, "swaps", "%d in %.0f s: %s", referee.swaps(), ran, kinds());
        line(text, "reports", "%d, of %d that failed; %d mappings replayed", reports.count(), reports.failed(),
            reports.mappings());
        line(text, "DMA blocked", "%s µs (median of the swaps), %s (99th percentile), %s (longest)",
            quantile(blocked, 0.5), quantile(blocked, 0.99), quantile(blocked, 1));
        line(text, "accesses", "%d waited, %d refused after waiting", reports.stalled(), reports.refused());
        line(text, "DMA", "%.1f MB verified, %d bytes wrong, %d bytes stray", referee.bytesVerified.sum() / 1e6,
            referee.mismatches.sum(), referee.strayWrites.sum());
        line(text, "MSIs", "%d raised, %d delivered, %d lost, %d duplicated; %d carried over a swap",
            referee.raised.sum(), referee.delivered.sum(), referee.lost.sum(), referee.duplicated.sum(),
            reports.carried());
        line(text, "pins", "%d fired", referee.pins.sum());
        line(text, "maps, unmaps", "%d, of which %d refused for now (EAGAIN)", referee.maps.sum(),
            referee.againLater.sum());
        line(text, "faults", "%d expected, %d unexpected", referee.expectedFaults.sum(),
            referee.unexpectedFaults.sum());
        line(text, "left behind", "%s",
            left.map(found -> found.threads().size() + " threads, " + sum(found) + " class loaders")
            .orElse("not determined: something hangs"));
        warnings.forEach(warning -> text.append("\nWarning: ").append(warning).append('\n'));
        List<String> failures = new ArrayList<>(referee.failures());
        left.ifPresent(found -> {
            found.threads().forEach(name -> failures.add("thread left: " + name));
            found.loaders().forEach((name, count) -> failures
                .add("class loader left: " + name + (count > 1 ? ", " + count + " times" : "")));
        });
        if (!failures.isEmpty()) {
            text.append('\n');
            failures.stream().limit(SHOWN).forEach(failure -> text.append("NOT OK: ").append(failure).append('\n'));
            int more = failures.size() - referee.failures().size() + referee.failed() - SHOWN;
            if (more > 0) {
                text.append("… and ").append(more).append(" more\n");
            }
        }
        String early = ran < settings.seconds()
            ? String.format(Locale.ROOT, " in the %.0f s of %d s that it ran", ran, settings.seconds())
            : "";
        text.append('\n')
            .append(ok() ? "OK: every promise held" + early
                : failures.isEmpty() ? "NOT OK: too little work was done to judge" + early
            : "NOT OK: not every promise held")
            .append("; --seed ").append(settings.seed()).append(" repeats this run.\n");
        return text.toString();
    }

    /** {@return the swaps by kind in one line} */
    private String kinds() {
        return referee.byKind().entrySet().stream().map(kind -> kind.getKey() + " " + kind.getValue())
            .reduce((a, b) -> a + ", " + b)
            .orElse("none");
    }

    private static int sum(Leaks.Left found) {
        return found.loaders().values().stream().mapToInt(Integer::intValue).sum();
    }

    private static void line(StringBuilder text, String name, String format, Object... values) {
        text.append(String.format(Locale.ROOT, "  %-13s ", name)).append(String.format(Locale.ROOT, format, values))
            .append('\n');
    }

    /** {@return the smallest value that at least the given share of the values does not exceed; 0 if there are none} */
    static long quantile(long[] ascending, double share) {
        return ascending.length == 0 ? 0 : ascending[Math.max(0, (int) Math.ceil(share * ascending.length) - 1)];
    }
}
