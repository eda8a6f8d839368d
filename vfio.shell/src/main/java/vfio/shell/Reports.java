// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import irq.api.MsiDoorbells;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import machine.api.Access;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Slot;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Group;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.Msis;
import vfio.api.swap.Swap;

/** The text report of a run: tables and a picture. */
final class Reports {
    private static final int BAR = 48;
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("HH:mm:ss.SSS", Locale.ROOT)
        .withZone(ZoneId.systemDefault());

    private final Workbench bench;

    Reports(Workbench bench) {
        this.bench = bench;
    }

    /** {@return everything, ending in one line that says whether all was as expected} */
    String all() {
        StringBuilder text = new StringBuilder();
        for (Container container : bench.vfio().containers()) {
            text.append('\n').append(container(container)).append('\n').append(picture(container));
        }
        Journal journal = bench.journal();
        section(text, "Transfers", transfers(journal));
        section(text, "Interrupts", interrupts(journal));
        section(text, "What must not work", attempts(journal));
        section(text, "Operations that must be refused", rejections(journal));
        section(text, "Swaps", swaps(bench.swaps()));
        section(text, "Swaps requested and not carried out", failed(bench.failedSwaps()));
        text.append(warnings(bench.machine()));
        journal.notes().forEach(note -> text.append("\nNote: ").append(note).append('\n'));
        text.append('\n').append(verdict(journal));
        return text.toString();
    }

    String machine() {
        StringBuilder text = new StringBuilder(bench.machine().model()).append('\n');
        Table slots = new Table("slot", "first requester", "requesters", "first group", "node");
        for (Slot slot : bench.machine().slots()) {
            Set<Requester> requesters = new LinkedHashSet<>();
            for (int place = 0; place < 256; place++) {
                if (slot.covers(place >> 3, place & 7)) {
                    requesters.add(slot.requester(place >> 3, place & 7));
                }
            }
            Requester first = requesters.stream().findFirst().orElse(null);
            slots.row(slot.name(), first == null ? "-" : Amount.hex(first.id()), requesters.size(),
                first == null ? "-" : first.group(), slot.node().path());
        }
        section(text, "Places for devices", slots);
        Optional<MsiDoorbells> doorbells = bench.doorbells();
        Table banks = new Table("msi bank", "page", "vectors", "free");
        doorbells.ifPresent(
            present -> present.banks().forEach(bank -> banks.row(bank.index(), Amount.hex(bank.page()), bank.vectors(),
            present.free(bank.index()))));
        section(text, "MSI banks", banks);
        if (doorbells.isEmpty()) {
            text.append("\nNo interrupt controller is present, so its MSI banks are not known.\n");
        }
        return text.append(warnings(bench.machine())).toString();
    }

    /** {@return the tolerated faults of the machine's description; empty if there are none} */
    static String warnings(Machine machine) {
        return machine.warnings().stream().map(warning -> "\nWarning: " + warning + '\n').collect(Collectors.joining());
    }

    String groups() {
        Table table = new Table("group", "requesters", "container", "devices");
        for (Group group : bench.vfio().groups()) {
            table.row(group.number(), group.requesters().stream().map(id -> Amount.hex(id)).toList(),
                group.container().map(Container::name).orElse("-"), String.join(" ", group.devices()));
        }
        return table.isEmpty() ? "no group has a device; plug one with vfio:plug\n" : table.toString();
    }

    String container(Container container) {
        Layout layout = Layout.of(container);
        StringBuilder text = new StringBuilder("Container ").append(container.name()).append(": ")
            .append(container.iommu().orElse("no IOMMU set"));
        container.iommuKind().filter(kind -> !container.iommu().equals(Optional.of(kind)))
            .ifPresent(kind -> text.append(" of ").append(kind));
        text.append(", ").append(container.state());
        container.extension(Msis.class).flatMap(Msis::strategy)
            .ifPresent(strategy -> text.append(", MSI strategy ").append(strategy));
        if (layout.windows() > 0) {
            text.append(String.format(", %s of %s", layout.geometry(), Amount.size(layout.geometry().size())));
        }
        text.append(", ").append(container.groups().stream().map(group -> "group " + group.number() + " ("
            + String.join(" ", group.devices()) + ")").toList()).append('\n');
        if (!container.reason().isEmpty()) {
            text.append("  ").append(container.reason()).append('\n');
        }
        Table table = new Table(layout.windows() > 0 ? "window" : "mapping", "iova", "physical", "size", "access",
            "use");
        List<Layout.Row> rows = layout.rows();
        for (int i = 0; i < rows.size(); i++) {
            Layout.Row row = rows.get(i);
            int last = i;
            while (row.use() == Layout.Use.DISABLED && last + 1 < rows.size()
                && rows.get(last + 1).use() == Layout.Use.DISABLED) {
                last++;
            }
            table.row(last == i ? row.index() : row.index() + "–" + rows.get(last).index(), Amount.hex(row.iova()),
                row.physical() < 0 ? "-" : Amount.hex(row.physical()), row.size() == 0 ? "-" : Amount.size(row.size()),
                Access.name(row.access()), row.text());
            i = last;
        }
        if (table.isEmpty()) {
            return text.append("  nothing is mapped: every access is refused\n").toString();
        }
        if (container.state() != ContainerState.ACTIVE) {
            text.append("  held for when it works again; now every access is refused, or waits\n");
        }
        return text.append(table).toString();
    }

    /**
     * {@return the addresses of a container as a bar of text, one line a run of equal rows; empty if it has no windows,
     * or none now}
     */
    String picture(Container container) {
        Layout layout = Layout.of(container);
        StringBuilder text = new StringBuilder();
        if (layout.windows() == 0) {
            return "";
        }
        StringBuilder bar = new StringBuilder();
        StringBuilder names = new StringBuilder();
        int cell = Math.max(8, Math.min(BAR / layout.windows(), 12));
        int shown = Math.min(layout.windows(), 16);
        for (Layout.Row row : layout.rows().subList(0, shown)) {
            char fill = switch (row.use()) {
                case MEMORY -> '█';
                case DOORBELL -> '░';
                case DISABLED -> ' ';
            };
            bar.append('│').append(String.valueOf(fill).repeat(row.use() == Layout.Use.DOORBELL ? 1 : cell - 1));
            bar.append(" ".repeat(row.use() == Layout.Use.DOORBELL ? cell - 2 : 0));
            String label = switch (row.use()) {
                case MEMORY -> "mem";
                case DOORBELL -> row.text().replace("msi ", "");
                case DISABLED -> "off";
            };
            names.append(String.format("%-" + cell + "s", " " + label));
        }
        String more = shown < layout.windows() ? " … " + (layout.windows() - shown) + " more" : "";
        text.append("  ").append(bar).append('│').append(more).append('\n').append("  ").append(names).append('\n');
        text.append(String.format("  from %s, %s per window%n", Amount.hex(layout.geometry().start()),
            Amount.size(layout.geometry().size() / layout.windows())));
        return text.toString();
    }

    /** {@return why a container's strategy is the active one} */
    String strategies(Container container) {
        Table table = new Table("strategy", "ranking", "active", "works", "windows", "user ops", "why");
        for (MsiChoice choice : container.as(Msis.class).explain()) {
            table.row(choice.name(), choice.ranking(),
                (choice.chosen() ? "yes" : "") + (choice.preferred() ? ", preferred" : ""),
                choice.assessment().feasible() ? "yes" : "no", choice.assessment().windows(),
                choice.assessment().userOperations(), choice.assessment().reason());
        }
        return table.isEmpty() ? "no bundle provides an MSI strategy\n" : table.toString();
    }

    static Table swaps(List<Swap> swaps) {
        Table table = new Table("at", "container", "backend", "from", "to", "mappings", "banks", "MSIs", "blocked µs",
            "waited", "refused", "carried", "not done because");
        swaps.forEach(
            swap -> table.row(TIME.format(swap.at()), swap.container(), swap.backend().name().toLowerCase(Locale.ROOT),
            swap.from().isEmpty() ? "-" : swap.from(), swap.to().isEmpty() ? "-" : swap.to(), swap.mappings(),
                swap.placements(), swap.routes(),
            TimeUnit.NANOSECONDS.toMicros(swap.blockedNanos()), swap.stalled(), swap.refused(), swap.carried(),
                swap.failure()));
        return table;
    }

    static Table failed(List<Workbench.FailedSwap> swaps) {
        Table table = new Table("at", "asked for", "with", "not done because");
        swaps.forEach(swap -> table.row(TIME.format(swap.at()), swap.what(), swap.with().isEmpty() ? "-" : swap.with(),
            swap.why()));
        return table;
    }

    String faults() {
        Table table = new Table("requester", "access", "bytes", "iova", "reason");
        for (Fault fault : bench.vfio().faults()) {
            table.row(Amount.hex(fault.requester()), fault.access() == Access.WRITE ? "write" : "read", fault.length(),
                Amount.hex(fault.iova()), Refusal.name(fault.refusal()));
        }
        Table registers = new Table("violation", "unit", "registers");
        bench.vfio().violations()
            .forEach(violation -> registers.row(violation.reason(), violation.unit(), violation.registers()));
        return table.isEmpty() ? "no access was refused\n" : table + "\n" + registers;
    }

    String nodes(String pattern) {
        Table table = new Table("node", "registers", "compatible");
        for (Node node : bench.machine().nodes()) {
            if (node.path().contains(pattern) || node.compatible().stream().anyMatch(one -> one.contains(pattern))) {
                table.row(node.path(), node.registers().isEmpty() ? "-" : String.format("0x%x+0x%x",
                    node.registers().get(0).physical(), node.registers().get(0).size()), String.join(" ",
                    node.compatible()));
            }
        }
        return table.toString();
    }

    private static Table transfers(Journal journal) {
        Table table = new Table("device", "from iova", "to iova", "bytes", "wrong", "refused", "what");
        journal.transfers()
            .forEach(transfer -> table.row(transfer.device(), Amount.hex(transfer.from()), Amount.hex(transfer.to()),
            transfer.bytes(), transfer.mismatches(), transfer.refused(), transfer.remark()));
        return table;
    }

    private static Table interrupts(Journal journal) {
        Table table = new Table("device", "through", "vector", "message", "delivered", "stray", "µs");
        journal.interrupts().forEach(interrupt -> table.row(interrupt.device(),
            interrupt.through(), interrupt.bank() < 0 ? "" : interrupt.vector(),
            interrupt.bank() < 0 ? "-" : String.format("0x%x <- 0x%x", interrupt.address(), interrupt.data()),
            interrupt.delivered(), interrupt.stray(), interrupt.micros()));
        return table;
    }

    private static Table attempts(Journal journal) {
        Table table = new Table("device", "tried", "iova", "outcome", "as expected", "recorded by the IOMMU", "what");
        journal.attempts().forEach(
            attempt -> table.row(attempt.device(), attempt.write() ? "write" : "read", Amount.hex(attempt.iova()),
            attempt.outcome(), attempt.ok() ? "yes" : "NO, " + attempt.expected(), attempt.registers(),
                attempt.remark()));
        return table;
    }

    private static Table rejections(Journal journal) {
        Table table = new Table("what", "as expected", "answer");
        journal.rejections()
            .forEach(rejection -> table.row(rejection.remark(), rejection.ok() ? "yes" : "NO, " + rejection.expected(),
            rejection.found()));
        return table;
    }

    private static String verdict(Journal journal) {
        List<String> failures = journal.failures();
        if (failures.isEmpty()) {
            return String.format("OK: %d transfers (%d bytes compared), %d interrupts, %d refusals, all as expected.%n",
                journal.transfers().size(), journal.transfers().stream().mapToLong(Journal.Transfer::bytes).sum(),
                journal.interrupts().size(), journal.attempts().size() + journal.rejections().size());
        }
        return "NOT OK:\n  " + String.join("\n  ", failures) + "\n";
    }

    private static void section(StringBuilder text, String title, Table table) {
        if (!table.isEmpty()) {
            text.append('\n').append(title).append('\n').append(table);
        }
    }
}
