// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import machine.api.PciFunction;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.device.ConfigSpace;

/** What a user sees of config space, and what the device gets of it. */
class ConfigSpaceTest {
    private static final int COMMAND = 0x04;
    private static final int MSI = FakeFunction.MSI;
    private static final int INTX_OFF = 0x400;

    private final FakeFunction device = Board.type1().a;

    @Test
    @DisplayName("a device has a pin if its register of the interrupt pin names one")
    void pin() {
        assertTrue(new ConfigSpace(device).hasPin());
        device.set(0x3c, 4, 0x000000ff);
        assertFalse(new ConfigSpace(device).hasPin(), "the line beside it says nothing");
    }

    @Test
    @DisplayName("a device that is given back is no bus master, whatever its user writes; the rest of its command "
        + "register stays")
    void quiet() {
        ConfigSpace space = new ConfigSpace(device);
        space.open();
        space.write(COMMAND, 2, 0x0146);
        assertEquals(0x0146 | INTX_OFF, device.register(COMMAND, 2));
        space.quiet();
        assertEquals(0x0142 | INTX_OFF, device.register(COMMAND, 2));
        space.write(COMMAND, 2, 0x0147);
        assertEquals(0x0142 | INTX_OFF, device.register(COMMAND, 2));
    }

    @Test
    @DisplayName("PCI, posted writes: a message that is changed is followed by a read, which no message sent before "
        + "passes")
    void flush() {
        List<String> calls = new ArrayList<>();
        ConfigSpace space = new ConfigSpace(logged(calls));
        calls.clear();
        space.msiOn(0x12_3456_7140L, 0x77);
        assertEquals("read 40", calls.get(calls.size() - 1));
        assertTrue(calls.lastIndexOf("write 42") > 0, "and the message is programmed before: " + calls);
        calls.clear();
        space.msiOff();
        assertEquals("read 40", calls.get(calls.size() - 1));
        device.set(0x06, 2, 0);
        ConfigSpace without = new ConfigSpace(logged(calls));
        calls.clear();
        without.msiOn(0x1000, 1);
        without.msiOff();
        assertEquals(List.of(), calls, "without the capability there is no message to wait for");
    }

    private PciFunction logged(List<String> calls) {
        return (PciFunction) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {PciFunction.class},
            (proxy, method, arguments) -> {
                if (method.getName().endsWith("Config")) {
                    calls.add(String.format("%s %x", method.getName().replace("Config", ""), arguments[0]));
                }
                return method.invoke(device, arguments);
            });
    }

    @Test
    @DisplayName("a write of some bytes of a register leaves its other bytes")
    void parts() {
        ConfigSpace space = new ConfigSpace(device);
        space.write(MSI + 4, 4, 0x11223344);
        space.write(MSI + 4, 2, 0x5566);
        assertEquals(0x11225566L, space.read(MSI + 4, 4));
        space.write(MSI + 7, 1, 0xff);
        assertEquals(0xff225566L, space.read(MSI + 4, 4));
    }

    @Test
    @DisplayName("INTx disable of the user: a write of the other byte leaves it, and nothing else is kept beside it")
    void intxDisable() {
        ConfigSpace space = new ConfigSpace(device);
        space.open();
        space.write(COMMAND, 2, INTX_OFF | 2);
        space.write(COMMAND, 1, 6);
        assertEquals(INTX_OFF | 6, space.read(COMMAND, 2));
        space.write(COMMAND + 1, 1, 0);
        assertEquals(0x0010_0006, space.read(COMMAND, 4));
    }

    @Test
    @DisplayName("what follows the BARs is the device's own")
    void behindBars() {
        device.set(0x28, 4, 0x1234_5678);
        ConfigSpace space = new ConfigSpace(device);
        space.write(0x28, 4, 0);
        assertEquals(0x1234_5678, space.read(0x28, 4));
    }

    @Test
    @DisplayName("MSI is found behind other capabilities")
    void chain() {
        device.set(0x34, 1, 0x60);
        device.set(0x60, 4, 0x0003_5001);
        device.set(0x50, 4, (MSI << 8) | 0x10);
        assertEquals(1, new ConfigSpace(device).msiVectors());
    }
}
