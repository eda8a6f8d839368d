// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import machine.api.Errno;
import machine.api.Machine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Memory that firmware keeps is memory, and nobody hands it out. */
class ReservedMemoryTest {
    private static final long MEMORY = 0x1000_0000;
    private static final long FIRMWARE = 0x100_0000;

    private static TreeWriter board() {
        return new TreeWriter().memory(0, 0, 0, (int) MEMORY);
    }

    private static TreeWriter reservedMemory() {
        return board().begin("reserved-memory").cells("#address-cells", 2).cells("#size-cells", 2);
    }

    private static Machine open(TreeWriter tree) {
        return TestData.open(tree.done());
    }

    /** Whether a range is kept is seen at its first and last page and at the neighbours of both. */
    private static void kept(Machine machine, long start, long end) {
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(start, 0x1000));
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(end - 0x1000, 0x1000));
        if (start > FIRMWARE) {
            machine.memory().allocateAt(start - 0x1000, 0x1000).close();
        }
        if (end < MEMORY) {
            machine.memory().allocateAt(end, 0x1000).close();
        }
        machine.bus().write(start, 8, 0x1234);
        assertEquals(0x1234, machine.bus().read(start, 8), "it is memory all the same");
    }

    @DisplayName("/reserved-memory: children, no-map or not, with one range or more, are not handed out; a disabled "
        + "one is")
    @Test
    void children() {
        Machine machine = open(reservedMemory().cells("ranges")
            .begin("fw@2000000").cells("reg", 0, 0x0200_0000, 0, 0x10_0000).end()
            .begin("qman@3000000").cells("reg", 0, 0x0300_0000, 0, 0x1000, 0, 0x0400_0800, 0, 0x1000).cells("no-map")
            .end()
            .begin("off@5000000").cells("reg", 0, 0x0500_0000, 0, 0x1000).text("status", "disabled").end()
            .begin("last@ffff000").cells("reg", 0, 0x0fff_f000, 0, 0x1_0000).end().end());
        kept(machine, 0x0200_0000, 0x0210_0000);
        kept(machine, 0x0300_0000, 0x0300_1000);
        kept(machine, 0x0400_0000, 0x0400_2000);
        kept(machine, 0x0fff_f000, MEMORY);
        machine.memory().allocateAt(0x0500_0000, 0x1000).close();
        assertEquals(MEMORY - FIRMWARE - 0x10_0000 - 0x1000 - 0x2000 - 0x1000, machine.memory().available());
    }

    @DisplayName("/reserved-memory: its children are physical memory without ranges, or with ranges that lead "
        + "elsewhere, too")
    @Test
    void ranges() {
        kept(open(reservedMemory().begin("fw@2000000").cells("reg", 0, 0x0200_0000, 0, 0x1000).end().end()),
            0x0200_0000, 0x0200_1000);
        kept(open(reservedMemory().cells("ranges", 0, 0, 0, 0x0800_0000, 0, 0x0800_0000)
            .begin("fw@2000000").cells("reg", 0, 0x0200_0000, 0, 0x1000).end().end()), 0x0200_0000, 0x0200_1000);
    }

    @DisplayName("/reserved-memory: a child without a place of its own, an empty one and one outside of memory keep "
        + "nothing")
    @Test
    void nothingToKeep() {
        Machine machine = open(reservedMemory().cells("ranges").begin("linux,cma").cells("size", 0, 0x400_0000).end()
            .begin("empty@2000000").cells("reg", 0, 0x0200_0000, 0, 0).end()
            .begin("above@100000000").cells("reg", 1, 0, 0, 0x1000).end().end());
        assertEquals(MEMORY - FIRMWARE, machine.memory().available());
    }

    @DisplayName("Only /reserved-memory itself has such children: what is called like it, or lies deeper, is a device")
    @Test
    void others() {
        Machine machine = open(
            board().begin("reserved-memory-controller").cells("#address-cells", 2).cells("#size-cells", 2)
            .begin("d@20000000").cells("reg", 0, 0x2000_0000, 0, 0x1000).end().end());
        assertEquals(MEMORY - FIRMWARE, machine.memory().available());
        assertEquals(List.of(
            "device tree: memory 0x0+0x10000000 lies over 0x2000000+0x1000 of /reserved-memory-controller/d@2000000;"
            + " there is no memory"), open(board().begin("reserved-memory-controller").cells("#address-cells", 2)
            .cells("#size-cells", 2).cells("ranges").begin("d@2000000").cells("reg", 0, 0x0200_0000, 0, 0x1000)
                .end().end()).warnings());
    }

    @DisplayName("/memreserve/: not handed out, in whole pages, in the middle of memory and at its end")
    @Test
    void memreserve() {
        Machine machine = open(
            board().reserve(0x0200_0800, 0x1000).reserve(0x0fff_f000, 0x1000).reserve(0x0300_0800, 0));
        kept(machine, 0x0200_0000, 0x0200_2000);
        kept(machine, 0x0fff_f000, MEMORY);
        assertEquals(MEMORY - FIRMWARE - 0x2000 - 0x1000, machine.memory().available());
    }

    @DisplayName("/memreserve/: one that passes the end of all addresses ends there, one beyond it keeps nothing")
    @Test
    void memreserveWithoutEnd() {
        Machine machine = open(board().reserve(0x0800_0000, -1L).reserve(-0x1000L, 0x800).reserve(1L << 60, 0x1000));
        kept(machine, 0x0800_0000, MEMORY);
        assertEquals(0x0800_0000 - FIRMWARE, machine.memory().available());
    }
}
