// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.OutputFile;
import machine.api.Refusal;
import machine.api.Slot;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Function;
import org.apache.felix.service.command.Parameter;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import vfio.api.Container;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;

/** The commands of scope {@code vfio}. Each is one line of work on the {@link Workbench} and one line of answer. */
@Component(service = VfioCommands.class, property = {
    "osgi.command.scope=vfio",
    "osgi.command.function=machine", "osgi.command.function=nodes", "osgi.command.function=slots",
    "osgi.command.function=groups", "osgi.command.function=devices", "osgi.command.function=containers",
    "osgi.command.function=plug", "osgi.command.function=needs", "osgi.command.function=begun",
    "osgi.command.function=unplug", "osgi.command.function=open", "osgi.command.function=close",
    "osgi.command.function=geometry", "osgi.command.function=map", "osgi.command.function=unmap",
    "osgi.command.function=windows", "osgi.command.function=picture", "osgi.command.function=msi",
    "osgi.command.function=banks", "osgi.command.function=msibanks", "osgi.command.function=policy",
    "osgi.command.function=irq", "osgi.command.function=ring", "osgi.command.function=dma",
    "osgi.command.function=refused", "osgi.command.function=forged", "osgi.command.function=rejected",
    "osgi.command.function=trace", "osgi.command.function=faults", "osgi.command.function=scenario",
    "osgi.command.function=note", "osgi.command.function=report", "osgi.command.function=json",
    "osgi.command.function=strategies", "osgi.command.function=use", "osgi.command.function=compare",
    "osgi.command.function=svg", "osgi.command.function=ok", "osgi.command.function=fail",
    // Those that only look print what they see in scenarios, too.
    "gantry.command.looks=machine", "gantry.command.looks=nodes", "gantry.command.looks=slots",
    "gantry.command.looks=groups", "gantry.command.looks=devices", "gantry.command.looks=containers",
    "gantry.command.looks=windows", "gantry.command.looks=picture", "gantry.command.looks=msibanks",
    "gantry.command.looks=strategies", "gantry.command.looks=trace", "gantry.command.looks=faults",
    "gantry.command.looks=compare", "gantry.command.looks=report",
    "gantry.command.group=to look: machine nodes slots groups devices containers windows picture msibanks strategies "
        + "trace faults",
    "gantry.command.group=to set up: plug unplug open close geometry map unmap msi use banks policy irq",
    "gantry.command.group=to try: ring dma refused forged rejected compare",
    "gantry.command.group=to report: scenario needs begun note report json svg ok fail",
    "gantry.command.completes=plug (__slots) (__places)", "gantry.command.completes=unplug (__plugged)",
    "gantry.command.completes=open --iommu=(__iommus) - (__devices)...",
    "gantry.command.completes=close (__containers)", "gantry.command.completes=geometry (__containers)",
    "gantry.command.completes=map --access=R|W|RW (__containers)", "gantry.command.completes=unmap (__containers)",
    "gantry.command.completes=windows (__containers)", "gantry.command.completes=picture (__containers)",
    "gantry.command.completes=msi (__containers) (__operations) (__operands)",
    "gantry.command.completes=strategies (__containers)", "gantry.command.completes=use (__containers) (__strategies)",
    "gantry.command.completes=compare --json=* --svg=*", "gantry.command.completes=banks (__containers)",
    "gantry.command.completes=policy (__containers) (__policies)",
    "gantry.command.completes=irq (__devices) msi|intx|off", "gantry.command.completes=ring (__devices)",
    "gantry.command.completes=dma (__devices)",
    "gantry.command.completes=refused (__devices) read|write - (__refusals)",
    "gantry.command.completes=forged (__devices) (__devices) - (__refusals)",
    "gantry.command.completes=rejected (__errnos)", "gantry.command.completes=trace (__containers) - R|W",
    "gantry.command.completes=json *", "gantry.command.completes=svg *"})
public final class VfioCommands {
    private final Workbench bench;
    private final Reports reports;

    /** Built by Declarative Services. */
    @Activate
    public VfioCommands(@Reference(name = "bench") Workbench bench) {
        this.bench = bench;
        this.reports = new Reports(bench);
    }

    @Descriptor("show the machine: places for devices and MSI banks")
    public String machine() {
        return reports.machine();
    }

    @Descriptor("list the hardware nodes")
    public String nodes() {
        return reports.nodes("");
    }

    @Descriptor("list the hardware nodes whose path or compatible string contains a text")
    public String nodes(@Descriptor("text") String text) {
        return reports.nodes(text);
    }

    @Descriptor("list the places for devices, PCIe controllers first; one of several that share a requester id")
    public List<String> slots() {
        Set<Integer> seen = new HashSet<>();
        List<String> names = new ArrayList<>();
        for (Slot slot : bench.machine().slots()) {
            // Behind some controllers everything speaks as one; behind others each place as itself.
            boolean fresh = IntStream.range(0, 256).filter(place -> slot.covers(place >> 3, place & 7))
                .map(place -> slot.requester(place >> 3, place & 7).id()).filter(seen::add).count() > 0;
            if (fresh) {
                names.add(slot.name());
            }
        }
        return names;
    }

    @Descriptor("require places for so many devices, each in a group of its own; a scenario does not begin without "
        + "them")
    public void needs(@Descriptor("devices") String devices) {
        bench.need(Amount.parseInt(devices));
    }

    @Descriptor("whether the machine has what the scenario needs")
    public boolean begun() {
        return bench.journal().begun();
    }

    @Descriptor("list groups, their requester ids and devices")
    public String groups() {
        return reports.groups();
    }

    @Descriptor("list the names of the devices by group")
    public List<String> devices() {
        // A list of a class that scripts may call.
        List<String> names = new ArrayList<>();
        bench.vfio().groups().forEach(group -> names.addAll(group.devices()));
        return names;
    }

    @Descriptor("show every open container")
    public String containers() {
        StringBuilder text = new StringBuilder();
        bench.vfio().containers().forEach(container -> text.append(reports.container(container)));
        return text.length() == 0 ? "no container is open; open one with vfio:open\n" : text.toString();
    }

    @Descriptor("plug an edu device into the first place whose group has no device; gives its name")
    public String plug() throws IOException, InterruptedException {
        return bench.plugApart();
    }

    @Descriptor("plug an edu device into a slot; gives its name")
    public String plug(@Descriptor("slot, see vfio:slots") String slot) throws IOException, InterruptedException {
        return bench.plug(slot, "");
    }

    @Descriptor("plug an edu device into a slot at a place; gives its name")
    public String plug(@Descriptor("slot, see vfio:slots") String slot,
        @Descriptor("device.function, in hex") String place)
            throws IOException, InterruptedException {
        return bench.plug(slot, place);
    }

    @Descriptor("pull a plugged device out")
    public void unplug(@Descriptor("device name") String device) throws IOException, InterruptedException {
        bench.unplug(device);
    }

    @Descriptor("open a container for the groups of some devices; sets its IOMMU")
    public void open(
            @Descriptor("IOMMU type; by default the machine's")
            @Parameter(names = {"-i", "--iommu"}, absentValue = "") String iommu,
            @Descriptor("name of the container") String name, @Descriptor("devices") String... devices) {
        Container container = bench.vfio().openContainer(name);
        try {
            for (String device : devices) {
                if (container.groups().stream().noneMatch(group -> group.devices().contains(device))) {
                    container.addGroup(bench.vfio().groupOf(device));
                }
            }
            container.setIommu(iommu.isEmpty() ? defaultIommu() : iommu);
        } catch (RuntimeException e) {
            container.close();
            throw e;
        }
    }

    @Descriptor("close a container; its devices are blocked, its memory goes back")
    public void close(@Descriptor("container") String name) {
        bench.closeContainer(name);
    }

    @Descriptor("set the aperture of a container and the number of its windows")
    public void geometry(@Descriptor("container") String name, @Descriptor("first address") String start,
            @Descriptor("bytes, e.g. 512M") String size, @Descriptor("number of windows") String windows) {
        Container container = bench.container(name);
        container.set(new Geometry(Amount.parse(start), Amount.parse(size)));
        container.set(new Windows(Amount.parseInt(windows)));
    }

    @Descriptor("allocate memory and map it; aligned as the largest power of two in its size, at most 1 GiB")
    public void map(
            @Descriptor("physical address, else anywhere") @Parameter(names = {"-p",
            "--physical"}, absentValue = "") String physical,
            @Descriptor("single scattered pages")
            @Parameter(names = {"-s", "--scattered"}, presentValue = "true", absentValue = "false") boolean scattered,
            @Descriptor("the devices' access: R, W or RW") @Parameter(names = {"-a", "--access"}, absentValue = "RW")
            String access,
            @Descriptor("container") String name, @Descriptor("first device address") String iova,
            @Descriptor("bytes, e.g. 256M") String size) {
        Container container = bench.container(name);
        long bytes = Amount.parse(size);
        DmaMemory memory = bench.machine().memory();
        long alignment = Math.max(4096, Math.min(Long.highestOneBit(bytes), 1L << 30));
        // The mapping keeps the memory alive from here on.
        try (DmaBuffer buffer = physical.isEmpty()
                ? memory.allocate(bytes, alignment,
                    scattered ? DmaMemory.Layout.SCATTERED : DmaMemory.Layout.CONTIGUOUS)
                : memory.allocateAt(Amount.parse(physical), bytes)) {
            container.map(Amount.parse(iova), buffer, 0, bytes, access(access));
        }
    }

    @Descriptor("unmap a range; gives the number of bytes unmapped")
    public long unmap(@Descriptor("container") String name, @Descriptor("first device address") String iova,
            @Descriptor("bytes") String size) {
        return bench.container(name).unmap(Amount.parse(iova), Amount.parse(size));
    }

    @Descriptor("show the windows of a container")
    public String windows(@Descriptor("container") String name) {
        return reports.container(bench.container(name));
    }

    @Descriptor("draw the aperture of a container")
    public String picture(@Descriptor("container") String name) {
        Container container = bench.container(name);
        String picture = reports.picture(container);
        return picture.isEmpty() ? String.format("%s: %s, %s: no windows to draw; see vfio:windows %s%n", name,
            container.iommu().orElse("no IOMMU set"), container.state(), name) : picture;
    }

    @Descriptor("call an operation of the container's MSI strategy; such as vfio:msi guest MAP_MSI_BANK 0 "
        + "0x10000000; or explain, or use NAME")
    public Object msi(@Descriptor("container") String name, @Descriptor("operation") String operation,
            @Descriptor("arguments") String... arguments) {
        if (operation.equals("explain") && arguments.length == 0) {
            return strategies(name);
        }
        if (operation.equals("use") && arguments.length == 1) {
            return use(name, arguments[0]);
        }
        long[] numbers = new long[arguments.length];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = Amount.parse(arguments[i]);
        }
        return bench.container(name).as(Msis.class).call(operation, numbers);
    }

    @Descriptor("the number of MSI banks of the interrupt controller")
    public int msibanks() {
        return bench.controller().doorbells().banks().size();
    }

    @Descriptor("list the MSI strategies in the order they are considered; with the reason why one is active")
    public String strategies(@Descriptor("container") String name) {
        return reports.strategies(bench.container(name));
    }

    @Descriptor("make a container use another MSI strategy; enabled vectors move along. '' leaves the choice to VFIO")
    public String use(@Descriptor("container") String name, @Descriptor("strategy") String strategy) {
        Container container = bench.container(name);
        container.as(Msis.class).strategy(strategy);
        return String.format("%s uses %s; banks: %s", name, container.as(Msis.class).strategy().orElse("none"),
            container.as(Msis.class).placements().stream()
            .map(placement -> String.format("%d at 0x%x", placement.bank(), placement.iova())).toList());
    }

    @Descriptor("run the same workload under each MSI strategy; show how they differ")
    public String compare(
            @Descriptor("file to write it to as JSON; - is standard output")
            @Parameter(names = {"-j", "--json"}, absentValue = "") Object json,
            @Descriptor("file to write a picture of the apertures to") @Parameter(names = {"-s",
            "--svg"}, absentValue = "") Object svg)
            throws IOException, InterruptedException {
        try (OutputFile jsonFile = optional(json); OutputFile svgFile = optional(svg)) {
            Comparison comparison = new Comparison(bench);
            comparison.run(defaultIommu(), slots());
            comparison.failures().forEach(failure -> bench.journal().fail(failure));
            ComparisonReport report = new ComparisonReport(bench, comparison);
            if (jsonFile != null) {
                jsonFile.write(report.json());
            }
            if (svgFile != null) {
                svgFile.write(report.svg());
            }
            return report.text();
        }
    }

    @Descriptor("map MSI banks into the windows from one up to another; as many as there are; gives the banks mapped")
    public List<Integer> banks(@Descriptor("container") String name, @Descriptor("first bank") String firstBank,
            @Descriptor("first window") String firstWindow, @Descriptor("last window") String lastWindow) {
        Container container = bench.container(name);
        Geometry geometry = container.get(Geometry.class);
        long span = geometry.size() / container.get(Windows.class).count();
        int count = (int) container.as(Msis.class).call("GET_MSI_BANK_COUNT");
        List<Integer> mapped = new ArrayList<>();
        int bank = Amount.parseInt(firstBank);
        for (int window = Amount.parseInt(firstWindow); window <= Amount.parseInt(lastWindow)
            && bank < count; window++) {
            container.as(Msis.class).call("MAP_MSI_BANK", bank, geometry.start() + window * span);
            mapped.add(bank++);
        }
        return mapped;
    }

    @Descriptor("set the policy that selects the bank of a vector; first_fit, isolated, packed or spread")
    public void policy(@Descriptor("container") String name, @Descriptor("policy") String policy) {
        try {
            bench.container(name).as(Msis.class).vectorPolicy(VectorPolicy.valueOf(policy.toUpperCase(Locale.ROOT)));
        } catch (IllegalArgumentException e) {
            throw new ErrnoException(Errno.EINVAL, e, "'%s' is no policy; there are %s", policy,
                List.of(VectorPolicy.values()));
        }
    }

    @Descriptor("give a device's interrupt a new eventfd: msi, intx or off; says through which bank")
    public String irq(@Descriptor("device") String device, @Descriptor("msi, intx or off") String kind) {
        return bench.interrupt(device, kind);
    }

    @Descriptor("make a device raise its interrupt and wait until it arrives")
    public String ring(@Descriptor("device") String device) throws InterruptedException {
        Journal.Interrupt interrupt = bench.ring(device);
        String reason = bench.container(interrupt.container()).reason();
        return String.format("%s: %d delivered to its own eventfd, %d to others, after %d µs",
            interrupt.bank() < 0 && interrupt.message() && !reason.isEmpty() ? "MSI that waits (" + reason + ")"
                : interrupt.through(), interrupt.delivered(), interrupt.stray(), interrupt.micros());
    }

    @Descriptor("copy memory to memory by a device's DMA, and compare; every byte, and the guards around it")
    public String dma(
        @Descriptor("what is shown by it") @Parameter(names = {"-r", "--remark"}, absentValue = "") String remark,
            @Descriptor("device") String device, @Descriptor("device address the device reads") String from,
            @Descriptor("device address the device writes") String to, @Descriptor("bytes") String bytes) {
        return bench.copy(device, Amount.parse(from), Amount.parse(to), Amount.parse(bytes), remark).outcome();
    }

    @Descriptor("make a device try an access that must be refused; for the given reason")
    public String refused(
        @Descriptor("what is shown by it") @Parameter(names = {"-r", "--remark"}, absentValue = "") String remark,
            @Descriptor("device") String device, @Descriptor("read or write") String access,
        @Descriptor("device address") String iova,
            @Descriptor("OUTSIDE, UNMAPPED, DENIED, …") String reason) {
        boolean write = access(access.equals("write") ? "W" : access.equals("read") ? "R" : access) == Access.WRITE;
        Journal.Attempt attempt = bench.attempt(device, write, Amount.parse(iova), 4, reason, remark);
        return attempt.outcome() + (attempt.registers().isEmpty() ? "" : "  " + attempt.registers());
    }

    @Descriptor("make a device send the message of another device's MSI; it must be refused for the given reason")
    public String forged(
        @Descriptor("what is shown by it") @Parameter(names = {"-r", "--remark"}, absentValue = "") String remark,
            @Descriptor("device") String device, @Descriptor("whose MSI") String victim,
            @Descriptor("address of 4 bytes of the device's own memory") String scratch,
        @Descriptor("reason") String reason) {
        Journal.Attempt attempt = bench.forge(device, victim, Amount.parse(scratch), reason, remark);
        return attempt.outcome() + (attempt.registers().isEmpty() ? "" : "  " + attempt.registers());
    }

    @Descriptor("run commands that must be refused with an errno; such as vfio:rejected EINVAL 'why' { map guest "
        + "0xfee00000 4K }")
    public String rejected(CommandSession session, @Descriptor("errno") String errno,
        @Descriptor("what is shown by it") String remark,
            @Descriptor("commands") Function commands) throws Exception {
        String found = "it was done";
        try {
            commands.execute(session, List.of());
        } catch (ErrnoException e) {
            found = e.getMessage();
        }
        bench.journal().add(new Journal.Rejection(errno, found, remark));
        return found;
    }

    @Descriptor("follow an access of a container's devices to where it would end")
    public String trace(@Descriptor("container") String name, @Descriptor("device address") String iova,
            @Descriptor("R or W") String access) {
        Container container = bench.container(name);
        long address = Amount.parse(iova);
        long physical = container.lookup(address, access(access));
        StringBuilder text = new StringBuilder(String.format("DmaPort            %s at iova 0x%x by requesters %s%n",
            access(access) == Access.WRITE ? "write" : "read", address,
            container.groups().stream().flatMap(group -> group.requesters().stream()).map(id -> Amount.hex(id))
                .toList()));
        Layout layout = Layout.of(container);
        layout.rows().stream().filter(row -> address >= row.iova() && address < row.iova() + row.span())
            .forEach(row -> text.append(
            String.format("TranslationUnit    %s %d: %s, %s%n", layout.windows() > 0 ? "window" : "mapping",
                    row.index(), row.text(),
                Access.name(row.access()))));
        if (physical < 0) {
            return text.append(String.format("                   refused: %s%n", Refusal.name(physical))).toString();
        }
        text.append(String.format("Bus                physical 0x%x%n", physical));
        String end = bench.doorbells().stream().flatMap(doorbells -> doorbells.banks().stream())
            .filter(bank -> physical >= bank.page() && physical < bank.page() + bank.length())
            .map(bank -> String.format("Mmio.write         MSI bank %d, offset 0x%x%n", bank.index(),
                physical - bank.page()))
            .findFirst().orElse("Ram\n");
        return text.append(end).toString();
    }

    @Descriptor("the latest refused accesses; with what the IOMMU's registers recorded of them")
    public String faults() {
        return reports.faults();
    }

    @Descriptor("begin a new report")
    public void scenario(@Descriptor("title") String title) {
        bench.startJournal(title);
    }

    @Descriptor("add a remark to the report")
    public void note(@Descriptor("text") String text) {
        bench.journal().note(text);
    }

    @Descriptor("show all actions since the report began; and whether the results are as expected")
    public String report() {
        return reports.all();
    }

    @Descriptor("write the report to a file as JSON")
    public void json(@Descriptor("file; - is standard output") Object file) {
        try (OutputFile output = output(file)) {
            output.write(new Json(bench).run());
        }
    }

    @Descriptor("write a picture of the apertures to a file as SVG")
    public void svg(@Descriptor("file; - is standard output") Object file) {
        try (OutputFile output = output(file)) {
            output.write(new Svg(bench).apertures());
        }
    }

    @Descriptor("add a failure to the report")
    public void fail(@Descriptor("text") String text) {
        bench.journal().fail(text);
    }

    @Descriptor("whether everything since the report began was as expected")
    public boolean ok() {
        return bench.journal().ok();
    }

    /** A file by its name; or one that a program has opened before it began, and closes. */
    private static OutputFile output(Object file) {
        return file instanceof OutputFile open ? open : OutputFile.open(String.valueOf(file));
    }

    private static OutputFile optional(Object file) {
        return "".equals(String.valueOf(file)) ? null : output(file);
    }

    private String defaultIommu() {
        return bench.vfio().iommuTypes().stream().findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENODEV, "no IOMMU type is there; see vfio:machine"));
    }

    private static int access(String name) {
        return switch (name) {
            case "R" -> Access.READ;
            case "W" -> Access.WRITE;
            case "RW" -> Access.READ_WRITE;
            default -> throw new ErrnoException(Errno.EINVAL, "access '%s': write R, W or RW", name);
        };
    }
}
