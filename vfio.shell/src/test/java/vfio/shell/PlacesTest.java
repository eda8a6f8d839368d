// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import device.edu.Edu;
import device.edu.EduSettings;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.acpi.AcpiMachineSource;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.fdt.FdtMachineSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.VfioService;

/** Which places devices get on machines that have hundreds of them, a few, or one. */
class PlacesTest {
    private final List<AutoCloseable> resources = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        for (int i = resources.size() - 1; i >= 0; i--) {
            resources.get(i).close();
        }
    }

    /** A DMAR with one unit for these functions (device << 3 | function) of bus 0, and an RMRR for those of others. */
    private static Machine dmar(int[] covered, int... wanted) {
        ByteArrayOutputStream structures = new ByteArrayOutputStream();
        structures.writeBytes(little(16 + 8 * covered.length).putShort((short) 0)
            .putShort((short) (16 + 8 * covered.length)).put((byte) 0)
            .put((byte) 0).putShort((short) 0).putLong(0xfed90000L).put(scopes(covered)).array());
        if (wanted.length > 0) {
            structures.writeBytes(
                little(24 + 8 * wanted.length).putShort((short) 1).putShort((short) (24 + 8 * wanted.length))
                .putShort((short) 0).putShort((short) 0).putLong(0x7000_0000L).putLong(0x7000_ffffL)
                    .put(scopes(wanted)).array());
        }
        byte[] table = little(48 + structures.size()).put("DMAR".getBytes()).putInt(48 + structures.size())
            .put((byte) 1).position(36)
            .put((byte) 38).put((byte) 1).position(48).put(structures.toByteArray()).array();
        int sum = 0;
        for (byte one : table) {
            sum += one;
        }
        table[9] = (byte) -sum;
        Machine machine = new AcpiMachineSource().open("test.dmar", table, Map.of());
        assertEquals(List.of(), machine.warnings());
        return machine;
    }

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static byte[] scopes(int... functions) {
        ByteBuffer scopes = little(8 * functions.length);
        for (int function : functions) {
            scopes.put((byte) 1).put((byte) 8).putShort((short) 0).put((byte) 0).put((byte) 0)
                .put((byte) (function >> 3)).put((byte) (function & 7));
        }
        return scopes.array();
    }

    private Workbench bench(Machine machine) {
        VfioService vfio = new VfioService(machine);
        resources.add(vfio);
        return new Workbench(machine, vfio, null);
    }

    private static List<String> apart(Workbench bench) {
        return bench.apart().stream().map(Workbench.Place::name).toList();
    }

    @DisplayName("QEMU's q35: one place of each device, the chipset's last, whichever functions there are")
    @Test
    void q35() {
        Workbench bench = bench(dmar(new int[] {0, 8, 0xf8, 0xfa, 0xfb}));
        assertEquals(List.of("0000:00:1f.0", "0000:00:00.0", "0000:00:01.0"), apart(bench));
        bench.need(3);
        assertTrue(bench.journal().begun());
    }

    @DisplayName("A machine with fewer places than a scenario needs: that is said, and nothing began")
    @Test
    void tooFew() {
        Workbench bench = bench(dmar(new int[] {0x12}));
        bench.need(1);
        assertTrue(bench.journal().begun());
        ErrnoException e = assertThrows(ErrnoException.class, () -> bench.need(2));
        assertEquals(
            "ENOSPC: the scenario needs places for 2 devices, each in a group of its own; ACPI DMAR has 1: "
                + "0000:00:02.2",
            e.getMessage());
        assertFalse(bench.journal().begun());
    }

    @DisplayName("A place with reserved memory (RMRR) is no place for a device; nor is a group that has one")
    @Test
    void taken() {
        Machine machine = dmar(new int[] {0x18, 0x20, 0x28}, 0x20);
        Workbench bench = bench(machine);
        assertEquals(List.of("0000:00:03.0", "0000:00:05.0"), apart(bench));
        Edu edu = new Edu(machine, machine.slots().get(0), 3, 0, EduSettings.DEFAULT);
        resources.add(edu);
        ((VfioService) bench.vfio()).addFunction(edu);
        assertEquals(List.of("0000:00:05.0"), apart(bench));
        assertEquals(Errno.ENOSPC, assertThrows(ErrnoException.class, () -> bench.need(2)).errno());
    }

    @DisplayName("QorIQ: one place behind each controller, as each is a group")
    @Test
    void controllers() throws Exception {
        Machine machine = new FdtMachineSource().open("p4080.dtb",
            Files.readAllBytes(Path.of("..", "launcher", "boards", "p4080.dtb")), Map.of());
        assertEquals(List.of("0000:01:00.0", "0001:01:00.0", "0002:01:00.0", "ffe100300.dma-0.0", "ffe101300.dma-0.0"),
            apart(bench(machine)));
    }
}
