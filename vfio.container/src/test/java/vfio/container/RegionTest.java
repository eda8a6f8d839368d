// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.Region;
import vfio.api.msi.Msis;
import vfio.container.device.ConfigSpace;
import vfio.container.irq.LocalEventFd;

@Timeout(30)
class RegionTest {
    private static final int MSI = FakeFunction.MSI;
    private final Board board = Board.type1();
    private final VfioContainer container = board.container();
    private Device device = board.vfio.group(1).device("0000:01:00.0");

    private long config(int offset, int size) {
        return device.read(Region.CONFIG, offset, size);
    }

    private void config(int offset, int size, long value) {
        device.write(Region.CONFIG, offset, size, value);
    }

    @Test
    @DisplayName("GET_REGION_INFO: 9 regions; BAR 0 and config space exist, the others have size 0 and no flags")
    void regions() {
        List<Region> regions = device.regions();
        assertEquals(9, regions.size());
        assertEquals(new Region(0, 0x1000, 3), regions.get(0));
        assertEquals(new Region(7, 256, 3), regions.get(7));
        assertEquals(new Region(8, 0, 0), regions.get(8));
        assertEquals(new Region(6, 0, 0), regions.get(Region.ROM));
    }

    @ParameterizedTest(name = "region {0} offset {1} size {2}")
    @DisplayName("read/write: outside a region, a region that is not there, a size that is not: EINVAL")
    @CsvSource({"9, 0, 4", "-1, 0, 4", "1, 0, 4", "6, 0, 4", "8, 0, 4", "0, 0x1000, 1", "0, 0xffe, 4", "0, -4, 4",
        "0, 0, 3", "0, 0, 16", "7, 0x100, 1", "7, 0xfd, 4", "0, 0x7fffffffffffffff, 8"})
    void outside(int region, String offset, int size) {
        refused(Errno.EINVAL, () -> device.read(region, Long.decode(offset), size));
        refused(Errno.EINVAL, () -> device.write(region, Long.decode(offset), size, 0));
    }

    @Test
    @DisplayName("a BAR: little-endian values; an access that is not aligned is cut into aligned pieces")
    void bar() {
        device.write(0, 0x10, 8, 0x1122334455667788L);
        assertEquals(0x1122334455667788L, device.read(0, 0x10, 8));
        assertEquals(0x55667788L, device.read(0, 0x10, 4));
        assertEquals(0x33445566L, device.read(0, 0x12, 4));
        device.write(0, 0x13, 4, 0xaabbccddL);
        assertEquals(0x11aabbccdd667788L, device.read(0, 0x10, 8));
        device.write(0, 0x11, 8, 0x0102030405060708L);
        assertEquals(0x0102030405060708L, device.read(0, 0x11, 8));
        assertEquals(0x0203040506070888L, device.read(0, 0x10, 8));
    }

    @Test
    @DisplayName("the last bytes of a region can be read and written")
    void ends() {
        device.write(0, 0xff8, 8, 0x1122334455667788L);
        assertEquals(0x11223344L, device.read(0, 0xffc, 4));
        board.a.set(0xfc, 4, 0x1234);
        assertEquals(0x1234, config(0xfc, 4));
    }

    @Test
    @DisplayName("config space: 8 bytes, and bytes that are not aligned, are cut into pieces")
    void configPieces() {
        config(MSI + 4, 8, 0x1122334455667788L);
        assertEquals(0x55667788L, config(MSI + 4, 4));
        assertEquals(0x11223344L, config(MSI + 8, 4));
        assertEquals(0x1122334455667788L, config(MSI + 4, 8));
        assertEquals(0x33445566L, config(MSI + 6, 4));
        config(MSI + 5, 4, 0xaabbccddL);
        assertEquals(0x112233aabbccdd88L, config(MSI + 4, 8));
    }

    @Test
    @DisplayName("DEVICE_RESET: a device model that throws is reported")
    void resetThrows() {
        board.a.inReset = () -> {
            throw new IllegalStateException("stuck");
        };
        assertEquals("stuck", assertThrows(IllegalStateException.class, device::reset).getMessage());
        board.a.inReset = () -> {
        };
        device.close();
    }

    @Test
    @DisplayName("a device that was reset, and one that is closed during its reset, can be opened again")
    void openedAfterReset() {
        device.reset();
        device.close();
        device = board.vfio.group(1).device("0000:01:00.0");
        board.a.inReset = () -> {
            board.a.inReset = () -> {
            };
            device.close();
            refused(Errno.EBUSY, () -> board.vfio.group(1).device("0000:01:00.0"));
        };
        device.reset();
        device = board.vfio.group(1).device("0000:01:00.0");
        assertEquals(0x1000, device.regions().get(0).size());
    }

    @Test
    @DisplayName("memory enable goes through; while it is clear a BAR answers EIO")
    void memoryEnable() {
        assertEquals(2, config(4, 2) & 7, "memory on, bus master off when opened");
        config(4, 2, 0);
        refused(Errno.EIO, "bit 1", () -> device.read(0, 0, 4));
        refused(Errno.EIO, () -> device.write(0, 0, 4, 0));
        assertEquals(0, board.a.register(4, 2) & 2);
        config(4, 1, 2);
        device.read(0, 0, 4);
    }

    @Test
    @DisplayName("bus master goes through; opening and closing reset the device and end with bus master off")
    void busMaster() {
        int resets = board.a.resets;
        config(4, 2, 6);
        assertEquals(6, board.a.register(4, 2) & 6);
        device.close();
        assertEquals(0, board.a.register(4, 2) & 4);
        assertEquals(resets + 1, board.a.resets);
        refused(Errno.ENODEV, "open it again", () -> device.reset());
    }

    @Test
    @DisplayName("INTx disable is the user's scratch: the host masks by the device's own bit")
    void intxDisable() {
        assertEquals(0, config(4, 2) & 0x400);
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
        config(4, 2, 0x402);
        assertEquals(0x400, config(4, 2) & 0x400);
        config(4, 2, 0x2);
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
    }

    @Test
    @DisplayName("BARs are virtual: sizing works, the device's own BAR is not written")
    void bars() {
        config(0x10, 4, 0xffffffffL);
        assertEquals(0xfffff000L, config(0x10, 4));
        config(0x14, 4, 0xffffffffL);
        assertEquals(0, config(0x14, 4));
        assertEquals(0, board.a.register(0x10, 4));
        config(0x12, 2, 0x1234);
        assertEquals(0x1234f000L, config(0x10, 4));
    }

    @Test
    @DisplayName("a 64-bit BAR's upper half is sized too, and the type bits stay")
    void wideBar() {
        device.close();
        board.a.set(0x10, 4, 4);
        ConfigSpace space = new ConfigSpace(board.a);
        space.write(0x10, 4, 0xffffffffL);
        space.write(0x14, 4, 0xffffffffL);
        assertEquals(0xfffff004L, space.read(0x10, 4));
        assertEquals(0xffffffffL, space.read(0x14, 4));
    }

    @ParameterizedTest(name = "capable of 1 << {0}, written 1 << {1}, read 1 << {2}")
    @DisplayName("MSI: no more vectors can be written than the device is capable of")
    @CsvSource({"0, 0, 0", "0, 1, 0", "0, 7, 0", "1, 0, 0", "1, 1, 1", "1, 2, 1", "1, 7, 1", "5, 5, 5", "5, 6, 5",
        "5, 3, 3"})
    void vectors(int capable, int written, int read) {
        device.close();
        board.a.mmc = capable;
        device = board.vfio.group(1).device("0000:01:00.0");
        config(MSI + 2, 2, 0x0080 | written << 4);
        assertEquals(0x0080 | capable << 1 | read << 4, config(MSI + 2, 2));
        config(MSI + 2, 1, 0);
        config(MSI, 4, (long) written << 20);
        assertEquals(0x0080 | capable << 1 | read << 4, config(MSI + 2, 2));
    }

    @Test
    @DisplayName("MSI address, data and enable of the user never reach the device; what the host programs is not shown")
    void msi() {
        container.as(Msis.class).call("MAP", 0, 0x50000);
        config(MSI + 4, 4, 0xdead0000L);
        config(MSI + 8, 4, 0x1);
        config(MSI + 12, 2, 0xbeef);
        config(MSI + 2, 2, 0x0081);
        assertFalse(board.a.msiEnabled());
        assertEquals(0, board.a.msiAddress());
        assertEquals(0, config(MSI + 2, 2) & 1);
        device.setIrqs(Board.msi(new LocalEventFd(0)));
        assertEquals(0x50140, board.a.msiAddress());
        assertEquals(1, config(MSI + 2, 2) & 1);
        assertEquals(0xdead0000L, config(MSI + 4, 4));
        assertEquals(0xbeef, config(MSI + 12, 2));
        config(MSI + 4, 4, 0x60000);
        config(MSI + 2, 2, 0x0080);
        assertEquals(0x50140, board.a.msiAddress());
        assertTrue(board.a.msiEnabled());
    }

    @ParameterizedTest(name = "capability of {1} bytes at 0x{0}")
    @DisplayName("MSI: a capability that ends where config space of the header does is one")
    @CsvSource({"f0, 16", "f4, 12"})
    void last(String at, int length) {
        int offset = Integer.parseInt(at, 16);
        board.a.set(0x34, 1, offset);
        board.a.set(offset, 2, 0x0005);
        board.a.set(offset + 2, 2, length == 16 ? 0x0080 : 0);
        assertEquals(1, new ConfigSpace(board.a).msiVectors());
    }

    @Test
    @DisplayName("MSI of 32 bits: the address, then the data, and nothing behind them; the user's scratch ends "
        + "there, too")
    void narrow() {
        board.a.set(MSI + 2, 2, 0);
        ConfigSpace space = new ConfigSpace(board.a);
        space.msiOn(0x1234_5140, 0x77);
        assertEquals(0x1234_5140, board.a.register(MSI + 4, 4));
        assertEquals(0x77, board.a.register(MSI + 8, 4));
        assertEquals(0, board.a.register(MSI + 12, 4));
        assertEquals(1, board.a.register(MSI + 2, 2));
        space.write(MSI + 8, 4, 0x88);
        space.write(MSI + 12, 4, 0x99);
        assertEquals(0x88, space.read(MSI + 8, 4));
        assertEquals(0, space.read(MSI + 12, 4));
        assertEquals(0x77, board.a.register(MSI + 8, 4));
        space.msiOff();
        assertEquals(0, board.a.register(MSI + 2, 2));
    }

    @Test
    @DisplayName("a device without a list of capabilities has no MSI, whatever the pointer says, and none is "
        + "programmed")
    void noCapabilities() {
        board.a.set(0x06, 2, 0);
        ConfigSpace space = new ConfigSpace(board.a);
        assertEquals(0, space.msiVectors());
        byte[] before = board.a.config.clone();
        space.msiOn(0x1234_5140, 0x77);
        space.msiOff();
        assertArrayEquals(before, board.a.config);
    }

    @Test
    @DisplayName("MSI above 4 GiB: both halves of the address are programmed, and the message arrives")
    void wideMessage() {
        container.as(Msis.class).call("MAP", 1, 0x12_3456_7000L);
        LocalEventFd eventFd = new LocalEventFd(0);
        device.setIrqs(Board.msi(eventFd));
        assertEquals(0x12_3456_7140L, board.a.msiAddress());
        assertEquals(0, board.a.raise());
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("DEVICE_RESET resets the device, and what the user and the host had turned on is on again")
    void reset() {
        config(4, 2, 6);
        container.as(Msis.class).call("MAP", 1, 0x12_3456_7000L);
        device.setIrqs(Board.msi(new LocalEventFd(0)));
        int before = board.a.resets;
        device.reset();
        assertEquals(before + 1, board.a.resets);
        assertEquals(0x406, board.a.register(4, 2), "as before, and the pin masked");
        assertEquals(0x12_3456_7140L, board.a.msiAddress());
        assertTrue(board.a.msiEnabled());
    }

    @Test
    @DisplayName("the rest of config space is the device's own and read-only; the interrupt line is scratch, the pin "
        + "is not")
    void readOnly() {
        config(0, 4, 0);
        assertEquals(0x11e81234L, config(0, 4));
        config(0x3c, 2, 0x0909);
        assertEquals(0x0109, config(0x3c, 2));
        config(0x30, 4, 0xffffffffL);
        assertEquals(0, config(0x30, 4));
        config(0x80, 4, 1);
        assertEquals(0, board.a.register(0x80, 4));
        assertEquals(MSI, config(0x34, 1));
    }

    @ParameterizedTest(name = "capability at 0x{0}")
    @DisplayName("a mad device: a capability that sticks out of config space, or a chain that is a loop, is no MSI")
    @ValueSource(strings = {"f8", "fc", "48"})
    void mad(String at) {
        int offset = Integer.parseInt(at, 16);
        board.a.set(0x34, 1, offset);
        board.a.set(offset, 2, offset == 0x48 ? 0x4801 : 0x0005);
        if (offset != 0xfc) {
            board.a.set(offset + 2, 2, 0x0080);
        }
        assertEquals(0, new ConfigSpace(board.a).msiVectors());
        assertEquals(1, device.irqs().get(Irq.MSI).count());
    }
}
