// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Node;
import machine.local.LocalMemory;
import machine.local.PhysicalBus;
import machine.local.Ram;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class GuardTest {
    private final DmaMemory memory = new LocalMemory(new PhysicalBus(List.of(new Ram(0, 0x100_0000L))),
        List.of(new Node.Range(0x10_0000L, 0x80_0000L)));

    @DisplayName("A byte that changes is seen, wherever it is, in memory in one piece and in pages")
    @Test
    void changed() {
        for (DmaMemory.Layout layout : DmaMemory.Layout.values()) {
            try (DmaBuffer buffer = memory.allocate(0x30000, 0x1000, layout)) {
                Guard.fill(buffer, 0, 0x30000);
                assertEquals(0, Guard.changed(buffer, 0, 0x30000));
                for (int offset : new int[] {0, 1, 0xffff, 0x10000, 0x2ffff}) {
                    byte[] one = new byte[1];
                    buffer.read(offset, one, 0, 1);
                    one[0]++;
                    buffer.write(offset, one, 0, 1);
                    assertEquals(1, Guard.changed(buffer, 0, 0x30000), "offset " + offset);
                    one[0]--;
                    buffer.write(offset, one, 0, 1);
                }
                buffer.write(0x8000, new byte[0x1000], 0, 0x1000);
                long changed = Guard.changed(buffer, 0, 0x30000);
                assertEquals(0, Guard.changed(buffer, 0x20000, 0x10000));
                assertEquals(true, changed > 0xf00 && changed <= 0x1000,
                    "zeroes are hardly ever in the pattern: " + changed);
            }
        }
    }

    @DisplayName("Memory that was copied from elsewhere in the pattern is seen")
    @Test
    void moved() {
        try (DmaBuffer buffer = memory.allocate(0x10000, 0x1000, DmaMemory.Layout.CONTIGUOUS)) {
            Guard.fill(buffer, 0, 0x10000);
            byte[] piece = new byte[64];
            buffer.read(0x1000, piece, 0, 64);
            buffer.write(0x5000, piece, 0, 64);
            assertEquals(true, Guard.changed(buffer, 0, 0x10000) > 32);
        }
    }
}
