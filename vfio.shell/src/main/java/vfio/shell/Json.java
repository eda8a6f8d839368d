// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import irq.api.MsiBank;
import irq.api.MsiDoorbells;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.Machine;
import machine.api.Node;
import vfio.api.Container;
import vfio.api.msi.Msis;
import vfio.api.swap.Swap;

/**
 * A run as JSON, for other programs to check; the fields are described in the README of this bundle and in
 * {@code docs/run.schema.json}. Addresses are numbers.
 */
final class Json {
    /**
     * Of the format, {@code docs/*.schema.json}: another one when a field goes or means something else, not when one is
     * added.
     */
    static final int VERSION = 1;

    private final Workbench bench;

    Json(Workbench bench) {
        this.bench = bench;
    }

    String run() {
        Journal journal = bench.journal();
        JsonObject run = new JsonObject();
        run.addProperty("version", VERSION);
        run.addProperty("scenario", journal.title());
        run.add("machine", machine());
        run.add("warnings", warnings(bench.machine()));
        JsonArray containers = new JsonArray();
        bench.vfio().containers().forEach(container -> containers.add(container(container)));
        run.add("containers", containers);
        run.add("dma", dma(journal));
        run.add("msi", msi(journal));
        run.add("faults", faults(journal));
        run.add("swaps", swaps());
        run.add("failedSwaps", failedSwaps());
        JsonArray rejected = new JsonArray();
        journal.rejections().forEach(rejection -> rejected.add(rejection.found()));
        run.add("rejected", rejected);
        JsonArray notes = new JsonArray();
        journal.notes().forEach(notes::add);
        run.add("notes", notes);
        JsonArray failures = new JsonArray();
        journal.failures().forEach(failures::add);
        run.add("failures", failures);
        run.addProperty("ok", journal.ok());
        return new GsonBuilder().setPrettyPrinting().serializeNulls().create().toJson(run) + "\n";
    }

    /** {@return what is wrong with the machine's description, one line each} */
    static JsonArray warnings(Machine machine) {
        JsonArray warnings = new JsonArray();
        machine.warnings().forEach(warnings::add);
        return warnings;
    }

    private JsonObject machine() {
        Machine machine = bench.machine();
        JsonObject json = new JsonObject();
        json.addProperty("model", machine.model());
        if (count("intel,vt-d") > 0) {
            json.addProperty("drhds", count("intel,vt-d"));
            json.addProperty("rmrrs", count("intel,rmrr"));
            return json;
        }
        Optional<List<MsiBank>> banks = bench.doorbells().map(MsiDoorbells::banks);
        json.addProperty("pamus", machine.nodes().stream().filter(node -> node.compatibleWith("fsl,pamu"))
            .mapToInt(node -> node.children().size()).sum());
        json.addProperty("msiBanks", banks.map(List::size).orElse(null));
        json.addProperty("vectorsPerBank", banks.map(some -> some.isEmpty() ? 0 : some.get(0).vectors()).orElse(null));
        json.addProperty("pcie", machine.slots().stream().filter(slot -> slot.pcie()).count());
        return json;
    }

    private long count(String compatible) {
        return bench.machine().nodes().stream().filter((Node node) -> node.compatibleWith(compatible)).count();
    }

    private static JsonObject container(Container container) {
        Layout layout = Layout.of(container);
        JsonObject json = new JsonObject();
        json.addProperty("name", container.name());
        json.addProperty("state", container.state().name());
        json.addProperty("reason", container.reason());
        json.addProperty("iommu", container.iommu().orElse(null));
        json.addProperty("iommuKind", container.iommuKind().orElse(null));
        json.addProperty("strategy", container.extension(Msis.class).flatMap(Msis::strategy).orElse(null));
        JsonObject geometry = new JsonObject();
        geometry.addProperty("start", layout.geometry().start());
        geometry.addProperty("size", layout.geometry().size());
        geometry.addProperty("windows", layout.windows());
        json.add("geometry", geometry);
        JsonArray windows = new JsonArray();
        for (Layout.Row row : layout.rows()) {
            JsonObject window = new JsonObject();
            window.addProperty("index", row.index());
            window.addProperty("iova", row.iova());
            window.addProperty("physical", row.physical() < 0 ? null : row.physical());
            window.addProperty("size", row.size());
            window.addProperty("access", Access.name(row.access()));
            window.addProperty("use", row.text());
            windows.add(window);
        }
        json.add("windows", windows);
        JsonArray groups = new JsonArray();
        container.groups().forEach(group -> groups.add(group.number()));
        json.add("groups", groups);
        return json;
    }

    private JsonArray swaps() {
        JsonArray json = new JsonArray();
        for (Swap swap : bench.swaps()) {
            JsonObject one = new JsonObject();
            one.addProperty("at", swap.at().toString());
            one.addProperty("container", swap.container());
            one.addProperty("backend", swap.backend().name().toLowerCase(Locale.ROOT));
            one.addProperty("from", swap.from());
            one.addProperty("to", swap.to());
            one.addProperty("mappings", swap.mappings());
            one.addProperty("placements", swap.placements());
            one.addProperty("routes", swap.routes());
            one.addProperty("blockedMicros", TimeUnit.NANOSECONDS.toMicros(swap.blockedNanos()));
            one.addProperty("stalled", swap.stalled());
            one.addProperty("refused", swap.refused());
            one.addProperty("carried", swap.carried());
            one.addProperty("failure", swap.failure());
            json.add(one);
        }
        return json;
    }

    private JsonArray failedSwaps() {
        JsonArray json = new JsonArray();
        for (Workbench.FailedSwap swap : bench.failedSwaps()) {
            JsonObject one = new JsonObject();
            one.addProperty("what", swap.what());
            one.addProperty("with", swap.with());
            one.addProperty("failure", swap.why());
            json.add(one);
        }
        return json;
    }

    private static JsonObject dma(Journal journal) {
        JsonObject json = new JsonObject();
        json.addProperty("transfers", journal.transfers().size());
        json.addProperty("bytesVerified", journal.transfers().stream().mapToLong(Journal.Transfer::bytes).sum());
        json.addProperty("mismatches", journal.transfers().stream().mapToLong(Journal.Transfer::mismatches).sum());
        json.addProperty("refused", journal.transfers().stream().mapToLong(Journal.Transfer::refused).sum());
        json.addProperty("blocked", journal.attempts().stream().filter(Journal.Attempt::refused).count());
        return json;
    }

    private static JsonObject msi(Journal journal) {
        JsonObject json = new JsonObject();
        List<Journal.Interrupt> msis = journal.interrupts().stream().filter(Journal.Interrupt::message).toList();
        json.addProperty("raised", msis.size());
        json.addProperty("delivered", msis.stream().mapToLong(Journal.Interrupt::delivered).sum());
        JsonObject banks = new JsonObject();
        journal.deliveredPerBank().forEach((bank, delivered) -> banks.addProperty(String.valueOf(bank), delivered));
        json.add("perBank", banks);
        return json;
    }

    private static JsonArray faults(Journal journal) {
        JsonArray json = new JsonArray();
        for (Journal.Attempt attempt : journal.attempts()) {
            if (attempt.refused()) {
                JsonObject fault = new JsonObject();
                fault.addProperty("requester", attempt.requester());
                fault.addProperty("iova", attempt.fault() != null ? attempt.fault().iova() : attempt.iova());
                fault.addProperty("access", attempt.write() ? "write" : "read");
                fault.addProperty("reason", attempt.reason());
                fault.addProperty("recorded", attempt.recorded());
                fault.addProperty("registers", attempt.registers());
                json.add(fault);
            }
        }
        return json;
    }
}
