// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import iommu.api.Enable;
import iommu.api.IommuDomain;
import iommu.api.Violation;
import iommu.pamu.table.Registers;
import iommu.pamu.unit.PamuModel;
import iommu.pamu.unit.ViolationCodes;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the driver writes into registers, in which order, and how it reads them. */
class DriverRegistersTest {
    private final Board board = new Board(2, new PamuModel(0x0100, 0xfff, 256, -1, ViolationCodes.MODEL));
    /** Words written into the registers of the first PAMU and into PAMUBYPENR, and syncs. */
    private final List<String> written = new ArrayList<>();
    private boolean bypassStays;
    /** What AVS1 of the first PAMU reads, with a violation in PICS; 0 for what is there. */
    private int status;

    private final Machine machine = through(new Bus() {
        @Override
        public long read(long physical, int size) {
            return status == 0 ? board.bus.read(physical, size)
                : physical == Board.PAMU + Registers.AVS1 ? Integer.reverseBytes(status)
                : physical == Board.PAMU + Registers.PICS ? Integer.reverseBytes(Registers.PICS_VIOLATION)
                : board.bus.read(physical, size);
        }

        @Override
        public int write(int requester, long physical, int size, long value) {
            if (physical >= Board.PAMU && physical < Board.PAMU + Registers.BYTES && size == 4) {
                written.add(String.format("%x %x", physical - Board.PAMU, Integer.reverseBytes((int) value)));
            }
            if (physical == Board.BYPASS) {
                written.add(String.format("bypass %x", Integer.reverseBytes((int) value)));
                if (bypassStays) {
                    return Bus.OK;
                }
            }
            return board.bus.write(requester, physical, size, value);
        }

        @Override
        public int read(long physical, byte[] to, int offset, int length) {
            return board.bus.read(physical, to, offset, length);
        }

        @Override
        public int write(int requester, long physical, byte[] from, int offset, int length) {
            return board.bus.write(requester, physical, from, offset, length);
        }

        @Override
        public void sync() {
            written.add("sync");
            board.bus.sync();
        }

        @Override
        public Attachment attach(long physical, long size, Mmio window) {
            return board.bus.attach(physical, size, window);
        }
    });

    private Machine through(Bus bus) {
        Class<?>[] what = {Machine.class};
        return (Machine) Proxy.newProxyInstance(Machine.class.getClassLoader(), what, (proxy, method, arguments) -> {
            if (method.getName().equals("bus")) {
                return bus;
            }
            try {
                return method.invoke(board.machine, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    private PamuDriver driver() {
        return new PamuDriver(machine, board.node, PamuSettings.DEFAULT);
    }

    @Test
    @DisplayName("P2: the gate is closed while bases change, open when the old records are gone; a sync, and only then "
        + "the bypass ends; at the end the gate is closed, and a sync")
    void order() {
        PamuDriver driver = driver();
        // 512 KiB from 0x100000 on, the first there are.
        assertEquals(
            List.of("c10 80001000", "0 0", "4 100000", "8 0", "c 114000", "10 0", "14 120000", "18 0", "1c 140000",
            "20 0", "24 140000", "28 0", "2c 140800", "c1c 4", "50 0", "c10 40001011", "sync", "bypass 3fffffff"),
            written);
        written.clear();
        driver.close();
        assertEquals(List.of("c10 80000000", "sync"), written);
    }

    @Test
    @DisplayName("P2: a bypass that stays is EIO: the gates are closed, what is in flight has left, and the tables' "
        + "memory is back")
    void bypassStays() {
        long free = board.machine.memory().available();
        bypassStays = true;
        assertEquals(Errno.EIO, assertThrows(ErrnoException.class, this::driver).errno());
        assertEquals(List.of("bypass 3fffffff", "c10 80000000", "sync"),
            written.subList(written.size() - 3, written.size()));
        for (int i = 0; i < 2; i++) {
            assertEquals(0x8000_0000, board.register(i, Registers.PC));
        }
        assertEquals(free, board.machine.memory().available());
    }

    @ParameterizedTest(name = "AVS1 {0}: {2}")
    @DisplayName("PAMU: each class of violations, as a port answers it and by its name")
    @CsvSource({"0x4001, -1, PDV", "0x2001, -1, GCV", "0x6401, -1, PDV|GCV|LAV", "0x0401, -2, LAV", "0x1c01, -2, LAV",
        "0x0081, -4, WAV", "0x0381, -4, WAV", "0x0009, -5, APV", "0x0079, -5, APV", "0x0003, -8, OTV",
        "0x0007, -8, OTV", "0x048b, -2, LAV|WAV|APV|OTV", "0x0001, -1, AV"})
    void classes(String avs1, int refusal, String reason) {
        PamuDriver driver = driver();
        status = 0xfff0_0000 | Integer.decode(avs1);
        written.clear();
        assertEquals(
            List.of(
                new Violation(Board.path(0), 0xfff0, 0, refusal, reason, String.format("AVS1=0x%08x AVA=0x0", status))),
            driver.violations());
        assertEquals(List.of("c1c 8", "50 " + Integer.toHexString(Integer.decode(avs1))), written, "PICS before AVS1");
    }

    @Test
    @DisplayName("PAMU: whatever read the records has let go of them: another thread reads them at once")
    void nobodyIsKeptWaiting() {
        PamuDriver driver = driver();
        IommuDomain domain = driver.open();
        List<Runnable> readers = List.of(driver::violations, () -> domain.attach(Board.at(1)),
            () -> domain.set(new Enable(true)), () -> domain.detach(Board.at(1)));
        for (Runnable reader : readers) {
            reader.run();
            assertEquals(List.of(), assertTimeoutPreemptively(Duration.ofSeconds(20), driver::violations));
        }
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0));
    }
}
