// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import machine.api.ErrnoException;
import machine.api.OutputFile;

/**
 * Standard output as what it is: a file that can be full, or have nobody who reads it. A {@link PrintStream} keeps that to itself; this
 * remembers it, so that a report that nobody can have read is not taken for one.
 */
final class Console extends OutputStream {
    private final OutputStream out;
    private volatile IOException failure;

    Console(OutputStream out) {
        this.out = out;
    }

    /** {@return where to print; each line is out when it ends} */
    PrintStream stream() {
        return new PrintStream(this, true, StandardCharsets.UTF_8);
    }

    /** {@return why something that was printed so far is lost; empty if nothing is} */
    Optional<ErrnoException> failure() {
        return Optional.ofNullable(failure).map(e -> OutputFile.refusal("standard output", e));
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
        try {
            out.write(bytes, offset, length);
        } catch (IOException e) {
            remember(e);
            throw e;
        }
    }

    @Override
    public void flush() throws IOException {
        try {
            out.flush();
        } catch (IOException e) {
            remember(e);
            throw e;
        }
    }

    private void remember(IOException e) {
        if (failure == null) {
            failure = e;
        }
    }
}
