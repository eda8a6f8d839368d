// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.OutputFile;
import org.jline.reader.LineReader;
import org.jline.reader.impl.history.DefaultHistory;

/**
 * The history of typed lines, of this session and of those before it, in a file that only its user can read. If the
 * file cannot be read or written, one line says so, and this session's lines end with it. One thread, the reader's.
 */
final class PastLines extends DefaultHistory {
    /** So many lines of so many characters are kept; the file grows by a quarter before it is cut. */
    static final int LINES = 1_000;
    static final int LONGEST = 4_096;

    private final Path file;
    private final Consumer<String> says;
    private boolean kept = true;

    /** @param says is given the one line, if need be */
    PastLines(Path file, Consumer<String> says) {
        this.file = file;
        this.says = says;
    }

    /**
     * {@return where a user's programs keep such things, by the XDG base directory specification, which wants paths
     * that are not absolute to be ignored}
     *
     * @param home of the user, where the environment does not say
     */
    static Path file(Map<String, String> environment, String home) {
        Path state = Stream.of(environment.getOrDefault("XDG_STATE_HOME", "")).map(Path::of).filter(Path::isAbsolute)
            .findFirst()
            .orElseGet(() -> Stream.of(environment.getOrDefault("HOME", ""), home).map(Path::of)
                .filter(Path::isAbsolute).findFirst()
                .orElse(Path.of("/")).resolve(".local/state"));
        return state.resolve("gantry").resolve("history");
    }

    @Override
    public void attach(LineReader its) {
        its.setVariable(LineReader.HISTORY_FILE, file);
        its.setVariable(LineReader.HISTORY_SIZE, LINES);
        its.setVariable(LineReader.HISTORY_FILE_SIZE, LINES);
        // Plain lines: there is nothing in them that could be wrong.
        its.unsetOpt(LineReader.Option.HISTORY_TIMESTAMPED);
        super.attach(its);
    }

    @Override
    public void load() {
        guarded(super::load);
    }

    @Override
    public void save() {
        guarded(super::save);
    }

    @Override
    public boolean isPersistable(Entry entry) {
        return entry.line().length() <= LONGEST && super.isPersistable(entry);
    }

    private interface Step {
        void run() throws IOException;
    }

    private void guarded(Step step) {
        if (!kept) {
            return;
        }
        try {
            prepare();
            step.run();
        } catch (ErrnoException e) {
            giveUp(e);
        } catch (IOException e) {
            giveUp(OutputFile.refusal(file.toString(), e));
        } catch (UncheckedIOException e) {
            giveUp(new ErrnoException(Errno.EINVAL, e, "cannot read %s: it is not text in UTF-8", file));
        }
    }

    private void giveUp(ErrnoException reason) {
        kept = false;
        says.accept("gantry: the lines of this session are not kept: " + reason.getMessage());
    }

    /** Sees to it that the file is there, and nobody else's to read, each time: it may have been deleted. */
    private void prepare() throws IOException {
        if (!Files.exists(file)) {
            try {
                Files.createDirectories(file.getParent(),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            } catch (FileAlreadyExistsException e) {
                throw new FileSystemException(e.getFile(), null, "Not a directory");
            }
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        } else if (Files.isDirectory(file)) {
            throw new ErrnoException(Errno.EISDIR, "cannot write %s: it is a directory", file);
        } else if (!Files.isRegularFile(file)) {
            throw new ErrnoException(Errno.EINVAL, "cannot write %s: it is no file", file);
        } else {
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
        }
        Files.newByteChannel(file, StandardOpenOption.WRITE, StandardOpenOption.APPEND).close();
    }
}
