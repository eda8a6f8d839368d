// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class FlatTreeTest {
    @DisplayName("Header: a field that contradicts the file is refused with its offset")
    @ParameterizedTest
    @CsvSource({
        "0, 0x12345678, magic", "4, 0x00100000, the header says", "4, 0x10, the header says",
        "8, 0x7fffff00, structure block", "8, 0x3a, structure block", "12, -1, strings block",
        "16, 0x33, memory reservations", "20, 15, version", "24, 18, version", "32, 0x7fffffff, strings block",
        "36, -8, structure block"})
    void header(int offset, String value, String says) {
        byte[] bytes = TestData.own();
        ByteBuffer.wrap(bytes).putInt(offset, Long.decode(value).intValue());
        ErrnoException e = assertErrno(Errno.EINVAL, () -> TestData.open(bytes));
        assertTrue(e.getMessage().contains(says) && e.getMessage().contains("offset 0x"), e.getMessage());
    }

    @DisplayName("A truncated file is refused wherever it ends")
    @Test
    void truncated() {
        byte[] bytes = TestData.own();
        for (int length = 4; length < bytes.length; length += 37) {
            byte[] part = Arrays.copyOf(bytes, length);
            assertTrue(new FdtMachineSource().recognises("x", part));
            assertErrno(Errno.EINVAL, () -> TestData.open(part));
        }
    }

    @DisplayName("Other files are not recognised")
    @Test
    void notRecognised() {
        FdtMachineSource source = new FdtMachineSource();
        assertFalse(source.recognises("x", new byte[0]));
        assertFalse(source.recognises("x.dtb", "just a text".getBytes(StandardCharsets.US_ASCII)));
    }

    @DisplayName("Nodes nested without end are refused, not followed")
    @Test
    void nesting() {
        int depth = 100_000;
        ByteBuffer bytes = ByteBuffer.allocate(56 + depth * 8);
        int[] header = {FlatTree.MAGIC, bytes.capacity(), 56, 56, 40, 17, 16, 0, 0, depth * 8};
        Arrays.stream(header).forEach(bytes::putInt);
        bytes.position(56);
        for (int i = 0; i < depth; i++) {
            bytes.putInt(1).putInt(i == 0 ? 0 : 'a' << 24);
        }
        ErrnoException e = assertErrno(Errno.EINVAL, () -> TestData.open(bytes.array()));
        assertTrue(e.getMessage().contains("nested"), e.getMessage());
    }

    @DisplayName("Any bytes: a machine, or one EINVAL (ENXIO without an IOMMU) in one line; nothing else, and soon")
    @Test
    @Timeout(60)
    void fuzz() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("FlatTreeTest.fuzz seed " + seed);
        Random random = new Random(seed);
        byte[] original = TestData.own();
        int refused = 0;
        for (int round = 0; round < 10_000; round++) {
            byte[] bytes = original.clone();
            for (int change = random.nextInt(4); change >= 0; change--) {
                int at = random.nextInt(bytes.length);
                switch (random.nextInt(3)) {
                    case 0 -> bytes[at] = (byte) random.nextInt();
                    case 1 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                    default -> ByteBuffer.wrap(bytes).putInt(Math.min(at, bytes.length - 4) & ~3,
                        random.nextBoolean() ? -1 : random.nextInt(64));
                }
            }
            if (round % 8 == 0) {
                bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
            }
            refused += refused(bytes, seed, round) ? 1 : 0;
        }
        assertTrue(refused > 500, "only " + refused + " of the changed trees were refused, seed " + seed);
    }

    private static boolean refused(byte[] bytes, long seed, int round) {
        try {
            TestData.open(bytes).slots().forEach(slot -> slot.interrupt(1, 2));
            return false;
        } catch (ErrnoException e) {
            assertTrue(e.errno() == Errno.EINVAL || e.errno() == Errno.ENXIO && e.getMessage().contains("no IOMMU"),
                () -> e.getMessage() + where(seed, round));
            assertEquals(1, e.getMessage().lines().count(), () -> e.getMessage() + where(seed, round));
            return true;
        } catch (RuntimeException e) {
            throw new AssertionError("not an errno" + where(seed, round), e);
        }
    }

    private static String where(long seed, int round) {
        return ", seed " + seed + " round " + round;
    }
}
