// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Installed
@Timeout(60)
class QemuTest {
    private static final Launch BOARD = Launch.e500("ppce500", 64, 1);

    /** Waits for something that another process does. */
    private static void eventually(BooleanSupplier condition, String what) throws InterruptedException {
        for (int i = 0; i < 1000 && !condition.getAsBoolean(); i++) {
            Thread.sleep(10);
        }
        assertTrue(condition.getAsBoolean(), what);
    }

    @DisplayName("A start that fails says what QEMU said and leaves nothing behind")
    @Test
    void failing() throws IOException {
        long before = directories();
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> Qemu.start(BOARD.with("-device", "no-such-device")));
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("exit status 1"), e.getMessage());
        assertTrue(e.getMessage().contains("'no-such-device' is not a valid device model name"), e.getMessage());
        assertEquals(before, directories());
    }

    @DisplayName("close ends the process and deletes its files; later commands fail with ENODEV")
    @Test
    void close() {
        Qemu qemu = Qemu.start(BOARD);
        assertTrue(qemu.version().matches("\\d+\\.\\d+\\.\\d+"), qemu.version());
        ProcessHandle process = qemu.process();
        Path directory = qemu.directory();
        assertTrue(process.isAlive() && Files.isDirectory(directory));
        qemu.close();
        qemu.close();
        assertFalse(process.isAlive());
        assertFalse(Files.exists(directory));
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, () -> qemu.qtest().readl(0)).errno());
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, () -> qemu.qmp().hmp("info status")).errno());
    }

    @DisplayName("Death in mid-operation: whoever waits gets EIO with the signal and QEMU's last words, so does "
        + "whoever comes later")
    @Test
    void death() throws InterruptedException {
        try (Qemu qemu = Qemu.start(BOARD)) {
            AtomicReference<ErrnoException> error = new AtomicReference<>();
            Thread busy = new Thread(() -> {
                try {
                    while (true) {
                        qemu.qtest().batch().writel(0x1000, 1).readl(0x1000).run();
                    }
                } catch (ErrnoException e) {
                    error.set(e);
                }
            });
            busy.start();
            Thread.sleep(100);
            qemu.process().destroyForcibly();
            busy.join();
            assertEquals(Errno.EIO, error.get().errno());
            assertTrue(error.get().getMessage().contains("was ended by signal 9"), error.get().getMessage());
            assertEquals(error.get().getMessage(),
                assertThrows(ErrnoException.class, () -> qemu.qtest().settle()).getMessage());
            assertTrue(
                assertThrows(ErrnoException.class, () -> qemu.qmp().hmp("help")).getMessage().contains("signal 9"));
        }
    }

    @DisplayName("A QEMU that does not answer is killed, and whoever waits is told so")
    @Test
    void hang() throws IOException, InterruptedException {
        try (Qemu qemu = Qemu.start(BOARD, 1)) {
            assertEquals(0, new ProcessBuilder("kill", "-STOP", Long.toString(qemu.process().pid())).start().waitFor());
            ErrnoException e = assertThrows(ErrnoException.class, () -> qemu.qtest().readl(0));
            assertTrue(
                e.getMessage()
                    .contains("was ended by signal 9; it did not answer a qtest command for 1 s and was killed"),
                e.getMessage());
        }
    }

    @DisplayName("QEMU's own abort is told with its last words (7.2: edu overruns its buffer's check with 4096 bytes)")
    @Test
    void abort() throws InterruptedException {
        try (Qemu qemu = Qemu.start(Launch.q35(64, "edu,addr=3.0"))) {
            Qtest q = qemu.qtest();
            q.batch().outl(0xcf8, 0x8000_1810L).outl(0xcfc, 0xfeb0_0000L).outl(0xcf8, 0x8000_1804L).outl(0xcfc, 6)
                .run();
            if (!qemu.version().startsWith("7.2.")) {
                return;
            }
            q.batch().writeq(0xfeb0_0080L, 0x20_0000).writeq(0xfeb0_0088L, 0x4_0000).writeq(0xfeb0_0090L, 4096)
                .writeq(0xfeb0_0098L, 1).run();
            eventually(() -> !qemu.process().isAlive(), "QEMU has aborted");
            ErrnoException e = assertThrows(ErrnoException.class, () -> q.readl(0));
            assertTrue(e.getMessage().contains("was ended by signal 6; what it said last:\n"), e.getMessage());
            assertTrue(e.getMessage().contains("out of bounds"), e.getMessage());
        }
    }

    @DisplayName("When the JVM is killed its QEMU ends, too, and its files go; so when it exits without closing")
    @Test
    void killed() throws Exception {
        for (boolean kill : new boolean[] {true, false}) {
            Process jvm = new ProcessBuilder(ProcessHandle.current().info().command().orElseThrow(), "-cp",
                System.getProperty(
                "surefire.test.class.path", System.getProperty("java.class.path")), Holder.class.getName())
                .redirectErrorStream(true).start();
            try (BufferedReader reader = new BufferedReader(new InputStreamReader(jvm.getInputStream()))) {
                String[] line = reader.readLine().split(" ", 2);
                ProcessHandle qemu = ProcessHandle.of(Long.parseLong(line[0])).orElseThrow();
                assertTrue(qemu.isAlive());
                if (kill) {
                    jvm.destroyForcibly();
                } else {
                    jvm.getOutputStream().close();
                }
                assertTrue(jvm.waitFor(20, TimeUnit.SECONDS));
                eventually(() -> !qemu.isAlive(), "QEMU has ended");
                eventually(() -> !Files.exists(Path.of(line[1])), line[1] + " has gone");
            } finally {
                jvm.destroyForcibly();
            }
        }
    }

    private static long directories() throws IOException {
        try (var files = Files.list(Path.of(System.getProperty("java.io.tmpdir")))) {
            return files.filter(file -> file.getFileName().toString().startsWith("gantry-qemu-")).count();
        }
    }

    /** Starts a QEMU, says which, and leaves it alone. */
    static final class Holder {
        public static void main(String[] args) throws IOException {
            Qemu qemu = Qemu.start(BOARD);
            System.out.println(qemu.process().pid() + " " + qemu.directory());
            System.in.read();
            System.exit(0);
        }
    }
}
