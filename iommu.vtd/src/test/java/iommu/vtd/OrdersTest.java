// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What a unit is told, and in which order: no more than what has changed, and nothing less. */
class OrdersTest {
    private static final int RW = Access.READ_WRITE;

    /** For a unit that drains reads only. */
    private static final UnaryOperator<String> READS = order -> order.replace(", drained", ", reads drained");

    /** Writes down what goes to the registers that begin something. */
    private static final class Recorder implements Bench.Sick {
        private final Bench bench;
        private final List<String> orders = new ArrayList<>();
        private long iva;
        private boolean deaf;

        Recorder(Bench bench) {
            this.bench = bench;
            bench.sick = this;
        }

        List<String> take() {
            List<String> taken = List.copyOf(orders);
            orders.clear();
            return taken;
        }

        @Override
        public void write(Mmio registers, long offset, int size, long value) {
            switch ((int) offset) {
                case VtdRegisters.GCMD -> command((int) registers.read(VtdRegisters.GSTS, 4), (int) value);
                case VtdRegisters.RTADDR -> orders.add(String.format("RTADDR %x", value));
                case VtdRegisters.IRTA -> orders.add(String.format("IRTA %x", value));
                case VtdRegisters.CCMD -> context(value >>> 61 & 3, value & 0xffff, value >>> 16 & 0xffff);
                case 0xf0 -> iva = value;
                case 0xf8 -> iotlb(value >>> 60 & 3, value >>> 32 & 0xffff, iva, value >>> 48 & 3);
                case VtdRegisters.IQT -> {
                    for (long at = registers.read(VtdRegisters.IQT, 8); at != value; at = (at + 16) % 4096) {
                        descriptor((registers.read(VtdRegisters.IQA, 8) & -4096) + at);
                    }
                }
                default -> {
                }
            }
            if (!deaf || offset != VtdRegisters.IQT) {
                registers.write(Bus.CPU, offset, size, value);
            }
        }

        private void command(int status, int value) {
            String[] names = {"TE", "SRTP", "", "", "WBF", "QIE", "IRE", "SIRTP", "CFI"};
            int oneShot = VtdRegisters.SRTP | VtdRegisters.WBF | VtdRegisters.SIRTP;
            for (int i = 0; i < names.length; i++) {
                int bit = 1 << 31 - i;
                if ((oneShot & bit) != 0 ? (value & bit) != 0 : ((value ^ status) & bit) != 0) {
                    orders.add((value & bit) != 0 ? names[i] : "no " + names[i]);
                }
            }
        }

        private void descriptor(long at) {
            long low = bench.bus.read(at, 8);
            switch ((int) low & 0xf) {
                case VtdRegisters.QI_CONTEXT -> context(low >>> 4 & 3, low >>> 16 & 0xffff, low >>> 32 & 0xffff);
                case VtdRegisters.QI_IOTLB ->
                iotlb(low >>> 4 & 3, low >>> 16 & 0xffff, bench.bus.read(at + 8, 8), low >>> 6 & 3);
                case VtdRegisters.QI_IEC -> orders.add((low & 0x10) == 0 ? "interrupts" : "interrupt " + (low >>> 32));
                default -> {
                }
            }
        }

        private void context(long granularity, long domain, long source) {
            orders.add(
                granularity == VtdRegisters.GLOBAL ? "contexts" : String.format("context %x of %d", source, domain));
        }

        private void iotlb(long granularity, long domain, long pages, long drains) {
            orders.add((granularity == VtdRegisters.GLOBAL ? "pages"
                : granularity == VtdRegisters.DOMAIN ? "pages of " + domain
                : String.format("pages %x+2^%d%s of %d", pages & -4096, pages & 0x3f,
                        (pages & 0x40) != 0 ? " leaves" : "", domain))
                + (drains == 0 ? ""
                    : drains == 1 ? ", writes drained" : drains == 2 ? ", reads drained" : ", drained"));
        }
    }

    private static VtdDriverSettings settings(boolean drains) {
        return new VtdDriverSettings(20, 0, new Superpages(true, true), true, 256, drains);
    }

    private static DmaBuffer memory(Bench bench, long size) {
        return bench.machine.memory().allocate(size, size, Layout.CONTIGUOUS);
    }

    /** Attach, map, four unmaps, detach, an interrupt; what the unit is told of each. */
    private static void life(VtdSettings settings, boolean drains, List<List<String>> expected) {
        Bench bench = new Bench(settings);
        Recorder unit = new Recorder(bench);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, settings(drains));
        unit.take();
        DmaBuffer buffer = memory(bench, 0x20000);
        IommuDomain domain = driver.open();
        List<List<String>> told = new ArrayList<>();
        domain.attach(Bench.at(0x10));
        told.add(unit.take());
        domain.map(0x1000, buffer, 0, 0x20000, RW);
        told.add(unit.take());
        domain.unmap(0x5000, 0x1000);
        domain.unmap(0x8000, 0x4000);
        domain.unmap(0xf000, 0x2000);
        domain.unmap(0x1000, 0x20000);
        told.add(unit.take());
        domain.detach(Bench.at(0x10));
        told.add(unit.take());
        driver.remapping().ifPresent(remapping -> {
            remapping.allocate(0x10, 0x40, 0);
            unit.take();
            int index = remapping.allocate(0x10, 0x41, 0);
            told.add(unit.take());
            remapping.release(index);
            told.add(unit.take());
        });
        driver.close();
        told.add(unit.take());
        assertEquals(String.join("\n", expected.stream().map(List::toString).toList()),
            String.join("\n", told.stream().map(List::toString).toList()));
    }

    @Test
    @DisplayName("VT-d 4: what was absent needs no invalidation; what was present needs one: the smallest block of "
        + "pages around it")
    void modern() {
        life(VtdSettings.DEFAULT, false, List.of(
            List.of(),
            List.of(),
            List.of("pages 5000+2^0 leaves of 1", "pages 8000+2^2 leaves of 1", "pages 0+2^5 leaves of 1",
                "pages 0+2^6 of 1"),
            List.of("context 10 of 1", "pages of 1"),
            List.of(),
            List.of("interrupt 1"),
            List.of("contexts", "pages", "interrupts", "IRTA 1000007", "SIRTP", "interrupts", "no QIE")));
    }

    @Test
    @DisplayName("VT-d CM: what was absent may be cached, contexts under domain id 0: it is invalidated, too")
    void cachingMode() {
        life(Bench.with(1 << 7, 0, 0, 0), false, List.of(
            List.of("context 10 of 0", "pages of 1"),
            List.of("pages 0+2^6 of 1"),
            List.of("pages 5000+2^0 leaves of 1", "pages 8000+2^2 leaves of 1", "pages 0+2^5 leaves of 1",
                "pages 0+2^6 of 1"),
            List.of("context 10 of 1", "pages of 1"),
            List.of("interrupt 1"),
            List.of("interrupt 1"),
            List.of("contexts", "pages", "interrupts", "IRTA 1000007", "SIRTP", "interrupts", "no QIE")));
    }

    @Test
    @DisplayName("VT-d RWBF: the write buffer is flushed after each change of a table, and before what was there is "
        + "invalidated")
    void writeBuffer() {
        life(Bench.with(1 << 4, 0, 0, 0), false, List.of(
            List.of("WBF"),
            List.of("WBF"),
            List.of("WBF", "pages 5000+2^0 leaves of 1", "WBF", "pages 8000+2^2 leaves of 1", "WBF",
                "pages 0+2^5 leaves of 1", "WBF", "pages 0+2^6 of 1"),
            List.of("WBF", "context 10 of 1", "pages of 1"),
            List.of(),
            List.of("interrupt 1"),
            List.of("WBF", "contexts", "pages", "interrupts", "IRTA 1000007", "SIRTP", "interrupts", "no QIE")));
    }

    @Test
    @DisplayName("VT-d MAMV and PSI: more pages than 2^MAMV, or any without PSI, are the whole domain")
    void coarse() {
        List<String> detach = List.of("context 10 of 1", "pages of 1");
        List<String> close = List.of("contexts", "pages", "interrupts", "IRTA 1000007", "SIRTP", "interrupts",
            "no QIE");
        life(Bench.with(5L << 48, 0x3fL << 48, 0, 0), false, List.of(List.of(), List.of(),
            List.of("pages 5000+2^0 leaves of 1", "pages 8000+2^2 leaves of 1", "pages 0+2^5 leaves of 1",
                "pages of 1"),
            detach, List.of(), List.of("interrupt 1"), close));
        life(Bench.with(0, 1L << 39, 0, 0), false, List.of(List.of(), List.of(),
            List.of("pages of 1", "pages of 1", "pages of 1", "pages of 1"), detach, List.of(), List.of("interrupt 1"),
            close));
    }

    @Test
    @DisplayName("VT-d: the same by registers, where there is no queue; drains (DR, DW) where the driver is told to, "
        + "of pages only")
    void registersAndDrains() {
        List<String> unmaps = List.of("pages 5000+2^0 leaves of 1, drained", "pages 8000+2^2 leaves of 1, drained",
            "pages 0+2^5 leaves of 1, drained", "pages 0+2^6 of 1, drained");
        life(Bench.with(1 << 7, 0, 0, 0xa), true, List.of(
            List.of("context 10 of 0", "pages of 1, drained"),
            List.of("pages 0+2^6 of 1, drained"),
            unmaps,
            List.of("context 10 of 1", "pages of 1, drained"),
            List.of("contexts", "pages, drained")));
        life(Bench.with(0, 1L << 54, 0, 0xa), true, List.of(List.of(), List.of(), unmaps.stream().map(READS).toList(),
            List.of("context 10 of 1", "pages of 1, reads drained"), List.of("contexts", "pages, reads drained")));
        life(Bench.with(0, 1L << 54, 0, 8), true, List.of(List.of(), List.of(), unmaps.stream().map(READS).toList(),
            List.of("context 10 of 1", "pages of 1, reads drained"),
            List.of("contexts", "pages, reads drained", "no QIE")));
        life(VtdSettings.DEFAULT, true, List.of(
            List.of(),
            List.of(),
            unmaps,
            List.of("context 10 of 1", "pages of 1, drained"),
            List.of(),
            List.of("interrupt 1"),
            List.of("contexts", "pages, drained", "interrupts", "IRTA 1000007", "SIRTP", "interrupts", "no QIE")));
    }

    @Test
    @DisplayName("P2: a unit is started with nothing cached and an empty table of interrupts, then TE is set, then "
        + "there are interrupts")
    void start() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        Recorder unit = new Recorder(bench);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, settings(false));
        long root = bench.reg8(VtdRegisters.RTADDR);
        long table = bench.reg8(VtdRegisters.IRTA);
        assertEquals(
            List.of("QIE", String.format("RTADDR %x", root), "SRTP", "contexts", "pages",
                String.format("IRTA %x", root | 7),
            "SIRTP", "interrupts", "IRE", "TE", String.format("IRTA %x", table), "SIRTP", "interrupts"), unit.take());
        driver.close();
        unit.take();
        // TE and IRE are on, and stay.
        new VtdDriver(bench.machine, bench.nodes, settings(false));
        assertEquals(
            List.of("QIE", String.format("RTADDR %x", root), "SRTP", "contexts", "pages",
                String.format("IRTA %x", root | 7),
            "SIRTP", "interrupts", String.format("IRTA %x", bench.reg8(VtdRegisters.IRTA)), "SIRTP", "interrupts"),
            unit.take());
    }

    @Test
    @DisplayName("P3: after an order that was not confirmed, each next one begins with an invalidation of everything "
        + "until one is")
    void doubt() {
        Bench bench = new Bench(Bench.with(1 << 7, 0, 0, 0));
        Recorder unit = new Recorder(bench);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, settings(false));
        DmaBuffer buffer = memory(bench, 4096);
        IommuDomain domain = driver.open();
        IommuDomain other = driver.open();
        domain.attach(Bench.at(0x10));
        other.attach(Bench.at(0x11));
        List<Runnable> next = List.of(() -> other.unmap(0x5000, 4096), () -> other.detach(Bench.at(0x11)),
            () -> other.attach(Bench.at(0x11)), () -> other.map(0x5000, buffer, 0, 4096, RW), other::close);
        for (Runnable order : next) {
            domain.map(0x1000, buffer, 0, 4096, RW);
            if (order == next.get(0)) {
                other.map(0x5000, buffer, 0, 4096, RW);
            }
            unit.deaf = true;
            assertEquals(Errno.ETIMEDOUT, assertThrows(ErrnoException.class, () -> domain.unmap(0x1000, 4096)).errno());
            unit.deaf = false;
            unit.take();
            order.run();
            assertEquals(List.of("contexts", "pages", "interrupts"),
                unit.take().stream().filter(each -> !each.contains("QIE")).limit(3).toList());
            domain.unmap(0x1000, 4096);
            assertEquals(1, unit.take().size(), "and it is over");
        }
    }
}
