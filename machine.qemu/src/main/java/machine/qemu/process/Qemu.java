// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * A QEMU process: starts it, holds its two connections, ends it. It ends with {@link #close}, with this JVM, and when
 * this JVM is killed, too; its files go with it.
 *
 * <pre>
 *  try (Qemu qemu = Qemu.start(Launch.e500("ppce500", 64, 1))) {
 *      qemu.qtest().writel(0xfe0041740L, 0x67000000);
 *  }
 * </pre>
 *
 * <p>Thread-safe.
 */
public final class Qemu implements AutoCloseable {
    /** The oldest QEMU that this was tried with. */
    private static final int[] OLDEST = {7, 2};
    private static final int START_SECONDS = 30;
    private static final int REPLY_SECONDS = 60;
    private static final int SAID = 2000;
    private static final int SIGNALS = 128;

    private final Launch launch;
    private final long patience;
    private final Path directory;
    private final Thread atExit = new Thread(this::kill, "machine.qemu exit");
    private Process process;
    private Process guard;
    private Connection qtestConnection;
    private Connection qmpConnection;
    private final Map<String, SocketChannel> channels = new HashMap<>();
    private Qtest qtest;
    private Qmp qmp;
    private volatile boolean closing;
    private volatile String hung = "";

    private Qemu(Launch launch, long patience, Path directory) {
        this.launch = launch;
        this.patience = patience;
        this.directory = directory;
    }

    /**
     * Starts a QEMU and connects to it.
     *
     * @throws ErrnoException ENOENT if there is no such binary, with the package that has it; EOPNOTSUPP if it is older
     *     than 7.2; EIO if it ends instead of connecting, with what it said; ETIMEDOUT if it does neither within 30 s
     */
    public static Qemu start(Launch launch) {
        return start(launch, REPLY_SECONDS);
    }

    /** @param patience seconds without a reply after which QEMU counts as hung and is killed */
    static Qemu start(Launch launch, long patience) {
        String binary = find(launch);
        Qemu qemu;
        try {
            qemu = new Qemu(launch, patience, Files.createTempDirectory("gantry-qemu-"));
        } catch (IOException e) {
            throw new ErrnoException(Errno.EIO, e, "no directory for QEMU's sockets: %s", e.getMessage());
        }
        Runtime.getRuntime().addShutdownHook(qemu.atExit);
        try {
            qemu.begin(binary);
        } catch (RuntimeException | Error e) {
            qemu.close();
            throw e;
        } catch (IOException e) {
            qemu.close();
            throw new ErrnoException(Errno.EIO, e, "%s: %s", binary, e.getMessage());
        }
        return qemu;
    }

    /** {@return whether this machine has the binary of a launch} */
    public static boolean installed(Launch launch) {
        return path(launch.binary()) != null;
    }

    /** {@return the qtest connection} */
    public Qtest qtest() {
        return qtest;
    }

    /** {@return the QMP connection} */
    public Qmp qmp() {
        return qmp;
    }

    /**
     * {@return the blocking connection of a channel that the launch names; the caller's to read, closed by
     * {@link #close}}
     */
    public SocketChannel channel(String name) {
        return channels.get(name);
    }

    /** {@return QEMU's version, e.g. {@code 7.2.22}} */
    public String version() {
        return qmp.version();
    }

    /** {@return the process} */
    public ProcessHandle process() {
        return process.toHandle();
    }

    /** {@return its working directory, where the launch's files are; deleted by {@link #close}} */
    public Path directory() {
        return directory;
    }

    /** {@return what it has written to its standard output and error, of a lot the end} */
    public String output() {
        try (RandomAccessFile file = new RandomAccessFile(directory.resolve("log").toFile(), "r")) {
            byte[] end = new byte[(int) Math.min(file.length(), 1 << 16)];
            file.seek(file.length() - end.length);
            file.readFully(end);
            return new String(end, StandardCharsets.UTF_8);
        } catch (IOException e) {
            return "";
        }
    }

    /** Ends the process and deletes its files. Idempotent. */
    @Override
    public void close() {
        synchronized (this) {
            if (closing) {
                return;
            }
            closing = true;
        }
        kill();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            // The JVM is going down: the hook does nothing that has not been done.
        }
    }

    private void begin(String binary) throws IOException {
        for (Map.Entry<String, byte[]> file : launch.files().entrySet()) {
            Files.write(directory.resolve(file.getKey()), file.getValue());
        }
        List<String> command = new ArrayList<>(List.of(binary));
        command.addAll(launch.arguments());
        // Names of sockets are relative: a socket's path has room for 108 bytes only.
        command.addAll(List.of("-qtest", "unix:qtest", "-qtest-log", "/dev/null", "-chardev", "socket,id=qmp,path=qmp",
            "-mon", "chardev=qmp,mode=control", "-display", "none", "-nodefaults", "-no-user-config"));
        Map<String, ServerSocketChannel> doors = new HashMap<>();
        for (String name : launch.channels()) {
            command.addAll(List.of("-chardev", "socket,id=" + name + ",path=" + name));
        }
        try (ServerSocketChannel qtestDoor = listen("qtest"); ServerSocketChannel qmpDoor = listen("qmp")) {
            for (String name : launch.channels()) {
                doors.put(name, listen(name));
            }
            process = new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true)
                .redirectOutput(directory.resolve("log").toFile()).redirectInput(new File("/dev/null")).start();
            guard();
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
            SocketChannel first = accept(qmpDoor, until);
            Connection.Owner owner = new Connection.Owner() {
                @Override
                public ErrnoException gone() {
                    return Qemu.this.gone();
                }

                @Override
                public void hangs(String protocol, long seconds) {
                    hung = String.format("it did not answer a %s command for %d s and was killed; ", protocol, seconds);
                    process.destroyForcibly();
                }
            };
            qmpConnection = new Connection("qmp", first, (buffer, from, to) -> qmp.unasked(buffer, from, to), owner,
                patience);
            qmp = new Qmp(qmpConnection);
            SocketChannel second = accept(qtestDoor, until);
            qtestConnection = new Connection("qtest", second, (buffer, from, to) -> qtest.unasked(buffer, from, to),
                owner, patience);
            qtest = new Qtest(qtestConnection);
            for (String name : launch.channels()) {
                channels.put(name, accept(doors.get(name), until));
            }
        } finally {
            for (ServerSocketChannel door : doors.values()) {
                door.close();
            }
        }
        qmp.begin();
        check(launch, qmp.version());
        qtestConnection.start();
    }

    /** @throws ErrnoException EOPNOTSUPP if QEMU is too old */
    static void check(Launch launch, String version) {
        String[] numbers = version.split("\\.");
        int major = Integer.parseInt(numbers[0]);
        if (major < OLDEST[0] || major == OLDEST[0] && Integer.parseInt(numbers[1]) < OLDEST[1]) {
            throw new ErrnoException(Errno.EOPNOTSUPP, "%s is version %s; %d.%d is the oldest that will do",
                launch.binary(), version, OLDEST[0], OLDEST[1]);
        }
    }

    /**
     * Should this JVM be killed, no hook runs; but the guard's standard input ends, and it kills the QEMU and deletes
     * its files. Without a shell there is no guard, and that case is not covered.
     */
    private void guard() {
        try {
            guard = new ProcessBuilder("/bin/sh", "-c", "read -r line; kill -9 \"$0\"; rm -rf \"$1\"",
                Long.toString(process.pid()),
                directory.toString()).redirectOutput(new File("/dev/null")).redirectError(new File("/dev/null"))
                .start();
        } catch (IOException e) {
            guard = null;
        }
    }

    private ServerSocketChannel listen(String name) throws IOException {
        ServerSocketChannel door = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            door.bind(UnixDomainSocketAddress.of(directory.resolve(name)), 1);
            door.configureBlocking(false);
            return door;
        } catch (IOException e) {
            door.close();
            throw new IOException(
                e.getMessage() + " (socket " + directory.resolve(name)
                    + "; if the path is too long, set java.io.tmpdir)",
                e);
        }
    }

    private SocketChannel accept(ServerSocketChannel door, long until) throws IOException {
        for (SocketChannel channel = door.accept();; channel = door.accept()) {
            if (channel != null) {
                return channel;
            }
            if (!process.isAlive()) {
                throw gone();
            }
            if (System.nanoTime() > until) {
                throw new ErrnoException(Errno.ETIMEDOUT, "%s did not connect within %d s%s", launch.binary(),
                    START_SECONDS, said());
            }
            pause();
        }
    }

    /** {@return the reason why a connection has ended} */
    private ErrnoException gone() {
        if (closing) {
            return new ErrnoException(Errno.ENODEV, "this QEMU (%s) has been closed", launch.binary());
        }
        // The socket closes a moment before the process is gone.
        for (int i = 0; i < 1000 && process.isAlive(); i++) {
            pause();
        }
        int status = process.isAlive() ? -1 : process.exitValue();
        String how = status < 0 ? "has closed its connection"
            : status > SIGNALS ? "was ended by signal " + (status - SIGNALS) : "ended with exit status " + status;
        return new ErrnoException(Errno.EIO, "%s (process %d) %s; %swhat it said last:%s", launch.binary(),
            process.pid(), how, hung, said());
    }

    private String said() {
        String output = output().strip();
        return output.isEmpty() ? " nothing" : "\n" + output.substring(Math.max(0, output.length() - SAID));
    }

    /** Gives a process that has been asked to end some time, then ends it. */
    private void kill() {
        closing = true;
        if (process != null) {
            boolean interrupted = Thread.interrupted();
            process.destroy();
            try {
                if (!process.waitFor(2, TimeUnit.SECONDS)) {
                    process.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
                }
            } catch (InterruptedException e) {
                interrupted = true;
                process.destroyForcibly();
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
        if (guard != null) {
            guard.destroyForcibly();
        }
        for (Connection connection : new Connection[] {qmpConnection, qtestConnection}) {
            if (connection != null) {
                connection.close();
            }
        }
        for (SocketChannel channel : channels.values()) {
            try {
                channel.close();
            } catch (IOException e) {
                // Closed is what it should be.
            }
        }
        delete(directory);
    }

    private static void delete(Path directory) {
        try (Stream<Path> files = Files.walk(directory)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        } catch (IOException | UncheckedIOException e) {
            // Gone already, or a temporary directory's cleaner will find it.
        }
    }

    private static String find(Launch launch) {
        Path found = path(launch.binary());
        if (found == null) {
            throw new ErrnoException(Errno.ENOENT,
                "there is no %s%s; on Debian: apt-get install --no-install-recommends %s", launch.binary(),
                launch.binary().indexOf('/') < 0 ? " on the PATH" : " to be executed", launch.debianPackage());
        }
        return found.toString();
    }

    private static Path path(String binary) {
        if (binary.indexOf('/') >= 0) {
            return Files.isExecutable(Path.of(binary)) ? Path.of(binary).toAbsolutePath() : null;
        }
        for (String directory : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)) {
            Path candidate = Path.of(directory.isEmpty() ? "." : directory, binary);
            if (Files.isExecutable(candidate) && Files.isRegularFile(candidate)) {
                return candidate.toAbsolutePath();
            }
        }
        return null;
    }

    private static void pause() {
        LockSupport.parkNanos(2_000_000);
    }
}
