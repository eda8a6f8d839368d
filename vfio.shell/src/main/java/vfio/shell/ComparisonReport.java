// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.List;

/** A comparison of strategies as text, as JSON (its fields are in the README of this bundle) and as a picture. */
final class ComparisonReport {
    private final Workbench bench;
    private final Comparison comparison;

    ComparisonReport(Workbench bench, Comparison comparison) {
        this.bench = bench;
        this.comparison = comparison;
    }

    String text() {
        Table table = new Table("strategy", "works", "user ops", "the user must know", "windows", "wasted",
            "smallest aperture", "a third device, later", "isolation", "bytes", "MSIs", "first µs", "µs", "adds",
            "why");
        for (Comparison.Result result : comparison.results()) {
            if (result.feasible()) {
                table.row(result.choice().name(), result.ok() ? "yes" : "NO", result.userOperations(),
                    result.mustKnow(), result.windowsUsed(), Amount.size(result.wasted()),
                    result.smallest().isEmpty() ? "-" : result.smallest(), result.hotPlug(), result.isolation(),
                    result.bytesVerified() - result.mismatches(), result.delivered(), micros(result.firstNanos()),
                    micros(result.nanos()), ratio(result),
                    result.failure().isEmpty() ? result.reason() : result.failure());
            } else {
                table.row(result.choice().name(), "no", "-", result.mustKnow(), "-", "-", "-", "-", "-", "-", "-", "-",
                    "-", "-", result.reason());
            }
        }
        List<String> failures = comparison.failures();
        long feasible = comparison.results().stream().filter(Comparison.Result::feasible).count();
        return String.format("MSI strategies on %s, best ranked first%n%n%s%n", bench.machine().model(), table)
            + String.format(
                "µs is from the device's register to the signal, median; in adds of an AtomicLong nobody contends "
                    + "for, %.1f ns "
                + "each.%n", comparison.addNanos())
            + Reports.warnings(bench.machine())
            + (failures.isEmpty()
                ? String.format("OK: %d of %d strategies work here; each delivered every interrupt and verified every "
                + "byte.%n", feasible, comparison.results().size())
                : "NOT OK:\n  " + String.join("\n  ", failures) + "\n");
    }

    String json() {
        JsonObject json = new JsonObject();
        json.addProperty("version", Json.VERSION);
        json.addProperty("machine", bench.machine().model());
        json.add("warnings", Json.warnings(bench.machine()));
        json.addProperty("atomicAddNanos", comparison.addNanos());
        JsonArray strategies = new JsonArray();
        for (Comparison.Result result : comparison.results()) {
            JsonObject one = new JsonObject();
            one.addProperty("name", result.choice().name());
            one.addProperty("ranking", result.choice().ranking());
            one.addProperty("feasible", result.feasible());
            one.addProperty("reason", result.reason());
            one.addProperty("userOperations", result.userOperations());
            one.addProperty("mustKnow", result.mustKnow());
            one.addProperty("windowsUsed", result.windowsUsed());
            one.addProperty("bytesWasted", result.wasted());
            one.addProperty("smallestAperture", result.smallest().isEmpty() ? null : result.smallest());
            one.addProperty("hotPlug", result.hotPlug());
            one.addProperty("hotPlugOperations", result.hotPlugOperations());
            one.addProperty("isolation", result.isolation());
            JsonArray shared = new JsonArray();
            result.sharedBanks().forEach(shared::add);
            one.add("sharedBanks", shared);
            one.addProperty("vectorsRaised", result.raised());
            one.addProperty("vectorsDelivered", result.delivered());
            JsonObject banks = new JsonObject();
            result.perBank().forEach((bank, rung) -> banks.addProperty(String.valueOf(bank), rung));
            one.add("perBank", banks);
            one.addProperty("bytesVerified", result.bytesVerified());
            one.addProperty("mismatches", result.mismatches());
            one.addProperty("firstMicros", result.firstNanos() / 1000);
            one.addProperty("micros", result.nanos() / 1000);
            one.addProperty("atomicAdds", result.nanos() / comparison.addNanos());
            one.addProperty("failure", result.failure());
            strategies.add(one);
        }
        json.add("strategies", strategies);
        json.addProperty("ok", comparison.failures().isEmpty());
        return new GsonBuilder().setPrettyPrinting().serializeNulls().create().toJson(json) + "\n";
    }

    String svg() {
        return Svg.draw("Apertures on " + bench.machine().model() + ", by MSI strategy", comparison.results().stream()
            .map(result -> new Svg.Aperture(result.choice().name(),
                result.feasible() ? result.userOperations() + " user operations"
                : "does not work here", result.layout())).toList());
    }

    private static String micros(double nanos) {
        return String.format("%.1f", nanos / 1000);
    }

    private String ratio(Comparison.Result result) {
        return String.format("%.0f", result.nanos() / comparison.addNanos());
    }
}
