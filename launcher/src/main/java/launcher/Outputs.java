// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.OutputFile;

/** The files that a command line asks for, all opened before anything else is done. One thread. */
final class Outputs implements AutoCloseable {
    private final Map<String, OutputFile> files = new LinkedHashMap<>();

    /**
     * Opens them.
     *
     * @param named option to file, null for an option that was not given
     * @throws ErrnoException EINVAL if two options name the same file; as {@link OutputFile#open}; none is open then
     */
    Outputs(Map<String, String> named) {
        List<String> names = new ArrayList<>();
        try {
            named.forEach((option, name) -> {
                if (name == null) {
                    return;
                }
                if (names.contains(name)) {
                    throw new ErrnoException(Errno.EINVAL, "cannot write %s: two options name it",
                        name.equals(OutputFile.STANDARD)
                        ? "standard output" : name);
                }
                names.add(name);
                files.put(option, OutputFile.open(name));
            });
        } catch (ErrnoException e) {
            close();
            throw e;
        }
    }

    /** {@return the open file of each option that was given} */
    Map<String, OutputFile> files() {
        return files;
    }

    /** {@return where people read: standard error when standard output is for a program} */
    PrintStream people(PrintStream out, PrintStream err) {
        return files.values().stream().anyMatch(OutputFile::isStandard) ? err : out;
    }

    /** {@return whether something could not be written that was there to be written} */
    boolean failed() {
        return files.values().stream().anyMatch(OutputFile::failed);
    }

    @Override
    public void close() {
        files.values().forEach(OutputFile::close);
    }
}
