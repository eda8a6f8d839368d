// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/** The error names of the control path, with Linux's numbers. */
@ProviderType
public enum Errno {
    /** Not permitted: the operation would weaken isolation. */
    EPERM(1),
    /** No such entry. */
    ENOENT(2),
    /** Input or output error: the hardware did not do as asked. */
    EIO(5),
    /** No such device or address. */
    ENXIO(6),
    /** Bad file descriptor: the file is closed. */
    EBADF(9),
    /** Try again: something is being swapped or reset. */
    EAGAIN(11),
    /** Out of memory, or over a memory limit. */
    ENOMEM(12),
    /** Access not permitted in this mode. */
    EACCES(13),
    /** Bad address: memory of a shape the hardware cannot map. */
    EFAULT(14),
    /** In use. */
    EBUSY(16),
    /** Something is already there. */
    EEXIST(17),
    /** No such device. */
    ENODEV(19),
    /** Not a directory. */
    ENOTDIR(20),
    /** Is a directory. */
    EISDIR(21),
    /** Wrong argument. */
    EINVAL(22),
    /** No such operation here. */
    ENOTTY(25),
    /** File too large. */
    EFBIG(27),
    /** No space: a table, a pool of vectors or of windows is exhausted; or a file's device is full. */
    ENOSPC(28),
    /** Read-only file system. */
    EROFS(30),
    /** Broken pipe: nobody reads it any more. */
    EPIPE(32),
    /** File name too long. */
    ENAMETOOLONG(36),
    /** Too many symbolic links. */
    ELOOP(40),
    /** Not supported. */
    EOPNOTSUPP(95),
    /** Timed out. */
    ETIMEDOUT(110),
    /** Disk quota exceeded. */
    EDQUOT(122);

    private final int number;

    Errno(int number) {
        this.number = number;
    }

    /** {@return Linux's number, positive} */
    public int number() {
        return number;
    }
}
