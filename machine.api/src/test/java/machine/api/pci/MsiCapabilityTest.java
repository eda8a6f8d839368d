// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class MsiCapabilityTest {
    /** MSI at 0x50, behind Express at 0x60. */
    private final FakeConfig config = new FakeConfig().set(ConfigHeader.STATUS, 2, ConfigHeader.HAS_CAPABILITIES)
        .set(ConfigHeader.CAPABILITIES, 1, 0x60).set(0x60, 2, 0x5010).set(0x50, 4, 0x0184_0005);

    private int find(int id) {
        return ConfigHeader.find(config.function(), id);
    }

    private Optional<MsiCapability> msi() {
        return MsiCapability.of(config.function());
    }

    @Test
    @DisplayName("PCI 6.7: a capability is found behind others; its pointer's lower two bits say nothing")
    void chain() {
        assertEquals(0x60, find(ConfigHeader.EXPRESS));
        assertEquals(0x50, find(ConfigHeader.MSI));
        assertEquals(0, find(0x11));
        config.set(ConfigHeader.CAPABILITIES, 1, 0x63).set(0x60, 2, 0x5310);
        assertEquals(0x50, find(ConfigHeader.MSI));
    }

    @Test
    @DisplayName("PCI 6.2.3: without the bit of the status there is no capability, whatever the pointer says")
    void none() {
        config.set(ConfigHeader.STATUS, 2, 0xffff & ~ConfigHeader.HAS_CAPABILITIES);
        assertEquals(0, find(ConfigHeader.MSI));
        assertEquals(Optional.empty(), msi());
    }

    @Test
    @Timeout(10)
    @DisplayName("a chain that is a loop ends, and one that leads into the header does so there")
    void mad() {
        config.set(0x60, 2, 0x6010);
        assertEquals(0, find(ConfigHeader.MSI));
        config.set(0x60, 2, 0x3c10).set(0x3c, 2, 0x0005);
        assertEquals(0, find(ConfigHeader.MSI));
        config.set(ConfigHeader.CAPABILITIES, 1, 0x40).set(0x40, 2, 0x0005);
        assertEquals(0x40, find(ConfigHeader.MSI), "the first place behind the header");
    }

    @Test
    @DisplayName("the longest chain that fits is walked to its end")
    void longest() {
        config.set(ConfigHeader.CAPABILITIES, 1, 0x40);
        for (int at = 0x40; at < 0x100; at += 4) {
            config.set(at, 2, at + 4 << 8 & 0xff00 | 0x09);
        }
        config.set(0xfc, 1, 0x07);
        assertEquals(0xfc, find(0x07));
    }

    @Test
    @DisplayName("PCI 6.8.1: one with a 64-bit address has its data 4 bytes further on; the control names the vectors")
    void layout() {
        assertEquals(Optional.of(new MsiCapability(0x50, true, 4)), msi());
        assertEquals(List.of(0x52, 0x54, 0x5c, 0x60),
            List.of(msi().get().control(), msi().get().address(), msi().get().data(), msi().get().end()));
        config.set(0x52, 2, 0x000a);
        assertEquals(Optional.of(new MsiCapability(0x50, false, 32)), msi());
        assertEquals(List.of(0x58, 0x5c), List.of(msi().get().data(), msi().get().end()));
    }

    @Test
    @DisplayName("one that sticks out of the conventional config space is none")
    void sticksOut() {
        config.set(0x60, 2, 0xf010).set(0xf0, 4, 0x0080_0005);
        assertEquals(0xf0, msi().orElseThrow().offset(), "it fits");
        config.set(0x60, 2, 0xf410).set(0xf4, 4, 0x0080_0005);
        assertEquals(Optional.empty(), msi());
        config.set(0xf6, 2, 0);
        assertEquals(0xf4, msi().orElseThrow().offset(), "with a 32-bit address it is shorter");
    }

    @Test
    @DisplayName("a message is programmed address first and control last, for one vector; other bits of the "
        + "control stay")
    void program() {
        config.set(0x52, 2, 0x01f4);
        MsiCapability msi = msi().orElseThrow();
        msi.program(config.function(), true, 0x12_fee0_1000L, 0xfff_4021);
        assertEquals(List.of("54+4 fee01000", "58+4 12", "5c+2 4021", "52+2 185"), config.writes);
        config.writes.clear();
        msi.program(config.function(), false, 0, 0);
        assertEquals(List.of("54+4 0", "58+4 0", "5c+2 0", "52+2 184"), config.writes);
        config.writes.clear();
        new MsiCapability(0x50, false, 1).program(config.function(), true, 0xfee0_1000L, 0x41);
        assertEquals(List.of("54+4 fee01000", "58+2 41", "52+2 185"), config.writes);
    }
}
