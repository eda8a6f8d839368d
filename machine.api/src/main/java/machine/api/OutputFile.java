// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The file for the result of a long job: opened before the job, so that an unwritable place is refused before and not
 * after it. What is there stays as it is until {@link #write}; a file that this made and nothing was written to is
 * deleted by {@link #close}. Every user of a machine writes its reports with it, so that they all say the same of a
 * file that cannot be written. One thread at a time; its opener closes it.
 */
@ProviderType
public final class OutputFile implements AutoCloseable {
    /** The name of standard output. */
    public static final String STANDARD = "-";

    private final String name;
    /** Null for standard output. */
    private final Path path;
    private final FileChannel channel;
    private final boolean fresh;
    private boolean written;
    private boolean failed;

    private OutputFile(String name, Path path, FileChannel channel, boolean fresh) {
        this.name = name;
        this.path = path;
        this.channel = channel;
        this.fresh = fresh;
    }

    /**
     * Opens a file for writing.
     *
     * @param name a path, or {@value #STANDARD} for standard output
     * @throws ErrnoException naming the file, if it cannot be written: ENOENT without its directory, EACCES, EISDIR,
     *     ENOTDIR, EROFS; EINVAL if it is no name of a file; EIO for what has no better name
     */
    public static OutputFile open(String name) {
        if (name.equals(STANDARD)) {
            return new OutputFile("standard output", null, null, false);
        }
        Path path;
        try {
            path = Path.of(name);
        } catch (InvalidPathException e) {
            throw new ErrnoException(Errno.EINVAL, e, "cannot write %s: %s", name, e.getReason());
        }
        try {
            try {
                return new OutputFile(name, path,
                    FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), true);
            } catch (FileAlreadyExistsException e) {
                // A link that leads nowhere is there, too, and what it leads to is made.
                return new OutputFile(name, path,
                    FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE), false);
            }
        } catch (IOException e) {
            throw refusal(name, path, e);
        }
    }

    /** {@return whether it is standard output, where nothing else may go then} */
    public boolean isStandard() {
        return path == null;
    }

    /** {@return whether a {@link #write} has failed} */
    public boolean failed() {
        return failed;
    }

    /**
     * Writes the whole result, in UTF-8, in place of what was there. To be called once.
     *
     * @throws ErrnoException naming the file: ENOSPC if the place is full, EPIPE if nobody reads it any more, EIO for
     *     what has no better name; part of it may be written then
     */
    public void write(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        written = true;
        try {
            if (path == null) {
                // Not System.out, which would keep to itself that it failed. Not closed: others write there, too.
                System.out.flush();
                OutputStream standard = new FileOutputStream(FileDescriptor.out);
                standard.write(bytes);
                return;
            }
            channel.truncate(0);
            ByteBuffer left = ByteBuffer.wrap(bytes);
            while (left.hasRemaining()) {
                channel.write(left);
            }
            // Some file systems say only now that the place is full.
            channel.close();
        } catch (IOException e) {
            failed = true;
            throw refusal(name, path, e);
        }
    }

    /** Deletes the file if this made it and nothing was written. */
    @Override
    public void close() {
        if (path == null) {
            return;
        }
        try {
            channel.close();
            if (fresh && !written) {
                Files.deleteIfExists(path);
            }
        } catch (IOException e) {
            throw refusal(name, path, e);
        }
    }

    /** {@return what to throw when a file cannot be written, in the words of the other refusals} */
    public static ErrnoException refusal(String name, IOException e) {
        return refusal(name, null, e);
    }

    private static ErrnoException refusal(String name, Path path, IOException e) {
        String said = e instanceof FileSystemException file && file.getReason() != null ? file.getReason()
            : String.valueOf(e.getMessage());
        // The JVM has the text of the C library, and no number.
        Errno errno = e instanceof NoSuchFileException ? Errno.ENOENT
            : e instanceof AccessDeniedException ? Errno.EACCES
            : path != null && Files.isDirectory(path) ? Errno.EISDIR
            : said.contains("No space left on device") ? Errno.ENOSPC
            : said.contains("Disk quota exceeded") ? Errno.EDQUOT
            : said.contains("File too large") ? Errno.EFBIG
            : said.contains("Not a directory") ? Errno.ENOTDIR
            : said.contains("Read-only file system") ? Errno.EROFS
            : said.contains("Broken pipe") ? Errno.EPIPE
            : said.contains("Bad file descriptor") ? Errno.EBADF
            : said.contains("File name too long") ? Errno.ENAMETOOLONG
            : said.contains("Too many levels of symbolic links") ? Errno.ELOOP
            : Errno.EIO;
        String words = switch (errno) {
            case ENOENT -> "no such directory";
            case EACCES -> "permission denied";
            case EISDIR -> "it is a directory";
            case ENOSPC -> "no space left on device";
            case EDQUOT -> "disk quota exceeded";
            case EFBIG -> "file too large";
            case ENOTDIR -> "a part of its path is not a directory";
            case EROFS -> "read-only file system";
            case EPIPE -> "nobody reads it any more";
            case EBADF -> "it is closed";
            case ENAMETOOLONG -> "the name is too long";
            case ELOOP -> "too many symbolic links";
            default -> said;
        };
        return new ErrnoException(errno, e, "cannot write %s: %s", name, words);
    }
}
