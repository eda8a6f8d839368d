// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import iommu.api.ReservedRegion;
import iommu.api.ReservedRegion.Kind;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Container;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.ContainerState;
import vfio.api.DmaFlags;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;
import vfio.container.host.ContainerLimits;

/** Attach of a group (4.1). Group 1 is in the container, group 2, with requester 0x21, joins. */
@Timeout(30)
class AttachTest {
    private static final int RW = Access.READ_WRITE;
    private static final ContainerLimits SAFE = ContainerLimits.DEFAULT;

    private static Container container(Board board, String type) {
        Container container = board.vfio.openContainer("one");
        container.addGroup(board.vfio.group(1));
        container.setIommu(type);
        return container;
    }

    private static String everything(Board board, Container container) {
        return board.iommu.state() + container.groups() + container.mappings() + container.as(Msis.class).placements()
            + container.reserved()
            + container.state() + container.iommu() + board.vfio.group(2).container();
    }

    private static void refusesGroup(Board board, Container container, Errno errno, String text) {
        String before = everything(board, container);
        refused(errno, text, () -> container.addGroup(board.vfio.group(2)));
        assertEquals(before, everything(board, container));
    }

    @ParameterizedTest
    @DisplayName("attach (4.1): some mapping has an invalidated vaddr: EBUSY, before anything else; updating it lets "
        + "the group in")
    @ValueSource(strings = {"type1", "type1v2"})
    void invalidVaddr(String type) {
        Board board = Board.type1();
        Container container = container(board, type);
        DmaBuffer memory = board.memory(0x2000);
        container.map(0, memory, 0, 0x1000, RW);
        container.map(0x1000, memory, 0x1000, 0x1000, RW);
        container.unmap(0x1000, 0x1000, DmaFlags.UNMAP_VADDR, null);
        board.iommu.own.put(0x21, List.of(new ReservedRegion(0, 0xfff, Kind.DIRECT)));
        refusesGroup(board, container, Errno.EBUSY, "vaddr");
        refused(Errno.EBUSY, "vaddr", () -> container.addGroup(board.vfio.group(1)));
        board.iommu.own.clear();
        container.map(0x1000, memory, 0x1000, 0x1000, DmaFlags.MAP_VADDR);
        container.addGroup(board.vfio.group(2));
    }

    @ParameterizedTest
    @DisplayName("attach (4.1): group already in: EINVAL")
    @ValueSource(strings = {"type1", "type1v2"})
    void already(String type) {
        Board board = Board.type1();
        Container container = container(board, type);
        String before = everything(board, container);
        refused(Errno.EINVAL, "already", () -> container.addGroup(board.vfio.group(1)));
        assertEquals(before, everything(board, container));
    }

    @ParameterizedTest
    @DisplayName("attach (4.1): cannot allocate a domain: the provider's errno (EIO in Linux), container unset")
    @ValueSource(strings = {"type1", "type1v2"})
    void noDomain(String type) {
        Board board = Board.type1();
        Container container = board.vfio.openContainer("one");
        container.addGroup(board.vfio.group(1));
        board.trip.errno = Errno.ENOSPC;
        board.trip.at(1);
        refused(Errno.ENOSPC, "open", () -> container.setIommu(type));
        assertEquals(ContainerState.UNSET, container.state());
    }

    // Mappings 0x10000+0x4000 and 0x20000+0x1000, bank 0 at 0x50000.
    @ParameterizedTest(name = "reserved {0}..{1} ({2})")
    @DisplayName("attach (4.1): a mapping or a doorbell inside a reserved region of the group: EINVAL, naming it, "
        + "nothing changed")
    @CsvSource({"0x10000, 0x10fff, RESERVED", "0x13fff, 0x14fff, RESERVED", "0xf000, 0x10000, MSI",
        "0x0, 0xffffffff, RESERVED", "0x11000, 0x11fff, RESERVED", "0x14000, 0x20000, RESERVED",
        "0x50000, 0x50fff, RESERVED", "0x50fff, 0x51fff, RESERVED", "0x4f000, 0x50000, RESERVED"})
    void reservedConflict(long start, long end, Kind kind) {
        for (String type : List.of("type1", "type1v2")) {
            Board board = Board.type1();
            Container container = container(board, type);
            DmaBuffer memory = board.memory(0x4000);
            container.map(0x10000, memory, 0, 0x4000, RW);
            container.map(0x20000, memory, 0, 0x1000, RW);
            container.as(Msis.class).call("MAP", 0, 0x50000);
            board.iommu.own.put(0x21,
                List.of(new ReservedRegion(0x60000, 0x60fff, Kind.RESERVED), new ReservedRegion(start, end, kind)));
            refusesGroup(board, container, Errno.EINVAL, "(" + kind + ") for requester 0x21");
            container.map(0x70000, memory, 0, 0x1000, RW);
        }
    }

    @Test
    @DisplayName("attach: a device plugged into a group of the container whose own reserved region holds a mapping: "
        + "EINVAL, it stays out, nothing changed")
    void plugged() {
        Board board = Board.type1();
        Container container = container(board, "type1v2");
        container.map(0x10000, board.memory(0x1000), 0, 0x1000, RW);
        board.iommu.own.put(0x17, List.of(new ReservedRegion(0x10000, 0x1ffff, Kind.RESERVED)));
        String before = everything(board, container);
        refused(Errno.EINVAL, "0x17", () -> board.vfio.addFunction(board.function("0000:01:00.7", 0x17, 1)));
        assertEquals(before, everything(board, container));
        container.map(0x11000, board.memory(0x1000), 0, 0x1000, RW);
    }

    private static final ReservedRegion RMRR = new ReservedRegion(0x7f80_0000, 0x7f81_ffff, Kind.DIRECT);

    @ParameterizedTest
    @DisplayName("attach: firmware wants memory mapped for it (RMRR): EPERM for a group that joins, SET_IOMMU, a "
        + "move and a plug; none is touched")
    @ValueSource(strings = {"type1", "type1v2"})
    void rmrr(String type) {
        Board board = Board.type1();
        board.iommu.own.put(0x21, List.of(RMRR));
        Container container = container(board, type);
        container.map(0x7f80_0000, board.memory(0x1000), 0, 0x1000, RW);
        refusesGroup(board, container, Errno.EPERM,
            "requester 0x21 is ineligible for IOMMU domain attach due to platform RMRR requirement: "
            + "firmware wants 0x7f800000..0x7f81ffff");
        Container other = board.vfio.openContainer("two");
        other.addGroup(board.vfio.group(2));
        refused(Errno.EPERM, "0x21", () -> other.setIommu(type));
        assertEquals(ContainerState.UNSET, other.state());
        assertEquals(Set.of(0x11, 0x12), board.iommu.attached());
        FakeIommu second = board.newIommu();
        second.own.put(0x12, List.of(RMRR));
        board.vfio.addIommu(second, "type1", "the second", 0);
        String before = everything(board, container);
        refused(Errno.EPERM, "0x12", () -> container.as(Backends.class).swap(type));
        assertEquals(0, board.vfio.as(Swaps.class).latest().size(), "not even begun");
        board.iommu.own.put(0x17, List.of(RMRR));
        refused(Errno.EPERM, "0x17", () -> board.vfio.addFunction(board.function("0000:01:00.7", 0x17, 1)));
        assertEquals(before, everything(board, container));
    }

    @ParameterizedTest(name = "class 0x{0}, relaxable {1}: {2}")
    @DisplayName("attach: RMRRs of USB and graphics are relaxable as in Linux, or of what is configured; they are no "
        + "obstacle to a mapping")
    @CsvSource(nullValues = "null", value = {"0c0330, null, true", "0c0300, null, true", "030000, null, true",
        "038000, null, true", "0c0500, null, false", "0c8003, null, false", "00ff00, null, false",
        "020300, null, false", "00ff00, 00ff, true", "00ff00, 0C03 00ff00, true", "00ff00, 00ff01, false",
        "00ff00, 00, true", "030000, 0c03, false", "030000, '', false"})
    void relaxable(String code, String classes, boolean relaxable) {
        Board board = classes == null ? Board.type1()
            : Board.type1(new ContainerLimits(10, ContainerLimits.UNLIMITED, true,
            Duration.ZERO, Duration.ofSeconds(20), classes.isEmpty() ? List.of() : List.of(classes.split(" "))));
        FakeFunction function = board.function("0000:03:00.0", 0x31, 3);
        function.set(0x08, 4, Long.parseLong(code, 16) << 8 | 0x10);
        board.vfio.addFunction(function);
        board.iommu.own.put(0x31, List.of(RMRR, new ReservedRegion(0x1000, 0x1fff, Kind.RESERVED)));
        Container container = container(board, "type1v2");
        if (!relaxable) {
            refused(Errno.EPERM, "relaxable.rmrr.classes", () -> container.addGroup(board.vfio.group(3)));
            return;
        }
        DmaBuffer memory = board.memory(0x1000);
        container.map(0x7f80_0000, memory, 0, 0x1000, RW);
        container.addGroup(board.vfio.group(3));
        assertEquals(memory.physical(0), board.memoryOf(0x31, 0x7f80_0000));
        container.map(0x7f81_0000, memory, 0, 0x1000, RW);
        refused(Errno.EINVAL, "valid ranges", () -> container.map(0x1000, memory, 0, 0x1000, RW));
        assertEquals(List.of(0x1000L, 0xfee00000L), container.reserved().stream().map(ReservedRegion::start).toList());
        container.as(Backends.class).swap("type1");
        assertEquals(2, container.mappings().size());
        // Somebody of another class speaks by the same id: what firmware wants concerns it as well.
        FakeFunction alias = board.function("0000:03:00.1", 0x31, 3);
        alias.set(0x08, 4, 0x0780_0000);
        String before = everything(board, container);
        refused(Errno.EPERM, "0x31", () -> board.vfio.addFunction(alias));
        assertEquals(before, everything(board, container));
        assertEquals(List.of("0000:03:00.0"), board.vfio.group(3).devices());
    }

    @ParameterizedTest
    @DisplayName("relaxable.rmrr.classes: what is no class is refused, naming it")
    @ValueSource(strings = {"3", "0c033", "usb", "0x03", "0c033000", "-1"})
    void noClass(String text) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
            () -> new ContainerLimits(10, 10, false,
            Duration.ZERO, Duration.ofSeconds(1), List.of("03", text)));
        assertTrue(e.getMessage().contains('"' + text + '"'), e.getMessage());
    }

    @Test
    @DisplayName("attach: a region beside all mappings is no obstacle; from then on it is no valid iova; when the "
        + "group leaves it is again")
    void reservedBeside() {
        Board board = Board.type1();
        Container container = container(board, "type1v2");
        DmaBuffer memory = board.memory(0x4000);
        container.map(0x10000, memory, 0, 0x4000, RW);
        board.iommu.own.put(0x21, List.of(new ReservedRegion(0x14000, 0x1ffff, Kind.RESERVED)));
        container.addGroup(board.vfio.group(2));
        assertEquals(new IovaRange(0, 0x13fff), container.info().ranges().get(0));
        refused(Errno.EINVAL, "valid ranges", () -> container.map(0x14000, memory, 0, 0x1000, RW));
        assertEquals(board.memoryOf(0x21, 0x10000), memory.physical(0), "mappings are replayed for it");
        container.removeGroup(board.vfio.group(2));
        container.map(0x14000, memory, 0, 0x1000, RW);
    }

    @Test
    @DisplayName("attach (4.1): the list of valid iovas would be empty: EINVAL, for SET_IOMMU and for a group that "
        + "joins")
    void empty() {
        Board board = Board.type1();
        board.iommu.own.put(0x21, List.of(new ReservedRegion(0, 0xfedf_ffffL, Kind.RESERVED),
            new ReservedRegion(0xfef0_0000L, -1, Kind.RESERVED)));
        Container container = container(board, "type1v2");
        refusesGroup(board, container, Errno.EINVAL, "leaves no address");
        container.close();
        Container other = board.vfio.openContainer("two");
        other.addGroup(board.vfio.group(2));
        refused(Errno.EINVAL, "0x21", () -> other.setIommu("type1"));
        assertEquals(ContainerState.UNSET, other.state());
        assertEquals("0 open", board.iommu.state());
    }

    @Test
    @DisplayName("attach (4.1): ok: one domain shared by all groups")
    void shared() {
        Board board = Board.type1();
        Container container = container(board, "type1v2");
        container.addGroup(board.vfio.group(2));
        assertEquals(1, board.iommu.opened.size());
        assertEquals(Set.of(0x11, 0x12, 0x21), new TreeSet<>(board.iommu.attached()));
    }

    // No interrupt remapping

    @ParameterizedTest
    @DisplayName("attach (4.1): doorbells outside translation, no interrupt remapping, not allowed: EPERM, saying "
        + "how to allow it")
    @ValueSource(strings = {"type1", "type1v2"})
    void unsafe(String type) {
        Board board = Board.type1(SAFE);
        Container container = board.vfio.openContainer("one");
        container.addGroup(board.vfio.group(1));
        refused(Errno.EPERM, "allow.unsafe.interrupts", () -> container.setIommu(type));
        assertEquals(ContainerState.UNSET, container.state());
        assertEquals(Optional.empty(), container.iommu());
        assertEquals("0 open", board.iommu.state());
        board.vfio.removeController(board.controller);
        refused(Errno.EPERM, "there is no interrupt controller", () -> container.setIommu(type));
        board.controller.verifies = true;
        board.vfio.addController(board.controller);
        container.setIommu(type);
        board.vfio.removeController(board.controller);
        refusesGroup(board, container, Errno.EPERM, "no interrupt controller");
        board.vfio.addController(board.controller);
        container.addGroup(board.vfio.group(2));
    }

    @Test
    @DisplayName("allow.unsafe.interrupts: then it is allowed, without a controller too")
    void allowed() {
        Board board = Board.type1(new ContainerLimits(10, 0x1000, true));
        board.vfio.removeController(board.controller);
        container(board, "type1").addGroup(board.vfio.group(2));
    }

    @Test
    @DisplayName("no interrupt remapping, but doorbells are translated (PAMU): not affected")
    void translated() {
        Board board = Board.pamu(SAFE);
        board.vfio.removeController(board.controller);
        Container container = board.container();
        container.addGroup(board.vfio.group(2));
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @Test
    @DisplayName("swap to a type whose doorbells lie outside translation, no interrupt remapping: EPERM, nothing "
        + "touched; with it, it goes")
    void swapToUnsafe() {
        Board board = Board.pamu(SAFE);
        VfioContainer container = board.container();
        container.map(0, board.memory(8 * Board.MB), 0, 8 * Board.MB, RW);
        FakeIommu paged = new FakeIommu(false, board.bus, board.trip);
        board.vfio.addIommu(paged, "type1");
        String before = everything(board, container);
        refused(Errno.EPERM, "allow.unsafe.interrupts", () -> container.as(Backends.class).swap("type1"));
        assertEquals(before, everything(board, container));
        assertEquals("0 open", paged.state());
        board.controller.verifies = true;
        container.as(Backends.class).swap("type1");
        assertEquals(Optional.of("type1"), container.iommu());
    }

    @Test
    @DisplayName("a swap is not an attach: a container is restored while the interrupt controller is away, and keeps "
        + "its groups")
    void swap() {
        Board board = Board.type1(SAFE);
        board.controller.verifies = true;
        Container container = container(board, "type1v2");
        board.vfio.removeController(board.controller);
        board.vfio.removeIommu(board.iommu);
        board.vfio.addIommu(board.iommu, "type1");
        assertEquals(ContainerState.ACTIVE, container.state());
        assertTrue(board.iommu.attached().contains(0x11));
    }
}
