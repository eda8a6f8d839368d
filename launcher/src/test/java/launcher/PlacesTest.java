// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import machine.acpi.AcpiMachineSource;
import machine.api.Machine;
import machine.fdt.FdtMachineSource;
import machine.fixture.TestBoard;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Whether a machine has any place for a device, and what is said if not. */
class PlacesTest {
    /** A DMAR with one unit whose only scope is of that type, at 00:1f.0. */
    private static Machine dmar(int type) {
        ByteBuffer table = ByteBuffer.allocate(72).order(ByteOrder.LITTLE_ENDIAN).put("DMAR".getBytes()).putInt(72)
            .put((byte) 1)
            .position(36).put((byte) 38).position(48).putShort((short) 0).putShort((short) 24).position(56)
            .putLong(0xfed90000L)
            .put((byte) type).put((byte) 8).position(70).put((byte) 0x1f);
        int sum = 0;
        for (byte one : table.array()) {
            sum += one;
        }
        return new AcpiMachineSource().open("test.dmar", table.put(9, (byte) -sum).array(), Map.of());
    }

    @DisplayName("One place is enough")
    @Test
    void some() throws Exception {
        assertEquals(Optional.empty(), Places.missing(dmar(1)));
        assertEquals(Optional.empty(),
            Places.missing(new FdtMachineSource().open("p4080.dtb", Files.readAllBytes(Path.of("boards", "p4080.dtb")),
            Map.of())));
    }

    @DisplayName("A unit for an IOAPIC alone covers no place: one sentence says so, of the machine and not of one "
        + "place")
    @Test
    void none() {
        assertEquals(
            "ACPI DMAR has no place for a device: no remapping unit covers 0000:00:00.0 (0x0); the DMAR names [] and "
                + "no unit for all others, and so it is with every other place", Places.missing(dmar(3)).orElseThrow());
    }

    @DisplayName("A machine without slots")
    @Test
    void noSlots() {
        assertEquals("board empty has neither a PCIe controller nor a DMA engine to plug a device into",
            Places.missing(TestBoard.named("empty").machine()).orElseThrow());
    }
}
