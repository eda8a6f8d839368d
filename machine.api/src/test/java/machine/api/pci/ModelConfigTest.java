// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ModelConfigTest {
    private final ModelConfig config = ModelConfig.of(0x1b36, 0x0010).type(0x010802, 0x02).subsystem(0x1af4, 0x1100)
        .bar(0, 0x4000).bar(5, 1L << 31).pin(2).msi().build();

    private Map<Integer, Long> notZero() {
        Map<Integer, Long> found = new TreeMap<>();
        for (int offset = 0; offset < ModelConfig.SIZE; offset += 4) {
            if (config.read(offset, 4) != 0) {
                found.put(offset, config.read(offset, 4));
            }
        }
        return found;
    }

    @Test
    @DisplayName("PCI 6.1: what was named is where it belongs, and all else is zero; after a reset, too")
    void golden() {
        Map<Integer, Long> fresh = Map.of(0x00, 0x0010_1b36L, 0x04, 0x0010_0000L, 0x08, 0x0108_0202L,
            0x2c, 0x1100_1af4L, 0x34, 0x40L, 0x3c, 0x0200L, 0x40, 0x0080_0005L);
        assertEquals(fresh, notZero());
        for (int offset = 0; offset < ModelConfig.SIZE; offset++) {
            config.write(offset, 1, 0xff);
        }
        config.interruptStatus(true);
        Map<Integer, Long> full = new TreeMap<>(fresh);
        full.putAll(Map.of(0x04, 0x0018_0547L, 0x10, 0xffff_c000L, 0x24, 0x8000_0000L, 0x3c, 0x02ffL,
            0x40, 0x0081_0005L, 0x44, 0xffff_fffcL, 0x48, 0xffff_ffffL, 0x4c, 0xffffL));
        assertEquals(full, notZero());
        config.reset();
        assertEquals(fresh, notZero());
    }

    @Test
    @DisplayName("a function without pin and MSI has neither, and no capability")
    void bare() {
        ModelConfig bare = ModelConfig.of(1, 2).build();
        bare.write(ConfigHeader.INTERRUPT_LINE, 2, 0xffff);
        bare.write(0x42, 2, 0xffff);
        assertEquals(0, bare.read(ConfigHeader.INTERRUPT_LINE, 2));
        assertEquals(0, bare.read(ConfigHeader.STATUS, 2));
        assertEquals(0, bare.read(ConfigHeader.CAPABILITIES, 1));
        assertFalse(bare.msiEnabled());
        assertEquals(0, bare.barSize(0));
    }

    @Test
    @DisplayName("the model is told what the host has switched on, bit by bit")
    void switches() {
        config.write(ConfigHeader.COMMAND, 2, ConfigHeader.MEMORY);
        assertTrue(config.memoryEnabled() && !config.busMaster() && !config.intxDisabled());
        config.write(ConfigHeader.COMMAND, 2, ConfigHeader.MASTER);
        assertTrue(!config.memoryEnabled() && config.busMaster() && !config.intxDisabled());
        config.write(ConfigHeader.COMMAND, 2, ConfigHeader.INTX_DISABLE);
        assertTrue(!config.memoryEnabled() && !config.busMaster() && config.intxDisabled());
        assertFalse(config.msiEnabled());
        config.write(0x44, 4, 0xfee0_1003L);
        config.write(0x48, 4, 0x12);
        config.write(0x4c, 4, 0xffff_4021L);
        config.write(0x42, 2, 1);
        assertTrue(config.msiEnabled());
        assertEquals(0x12_fee0_1000L, config.msiAddress());
        assertEquals(0x4021, config.msiData());
    }

    @Test
    @DisplayName("a BAR is a power of two from 16 bytes to 2 GiB, one of six; another is refused and named")
    void bars() {
        assertEquals(0x4000, config.barSize(0));
        assertEquals(1L << 31, config.barSize(5));
        assertEquals(0, config.barSize(-1));
        assertEquals(0, config.barSize(6));
        ModelConfig.Builder builder = ModelConfig.of(1, 2).bar(1, 16);
        for (long size : new long[] {0, 8, 24, 1L << 32, -16}) {
            assertThrows(IllegalArgumentException.class, () -> builder.bar(0, size), "" + size);
        }
        assertThrows(IllegalArgumentException.class, () -> builder.bar(6, 16));
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> builder.bar(-1, 0x20));
        assertTrue(e.getMessage().startsWith("BAR -1 of 0x20 bytes"), e.getMessage());
    }
}
