// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * An error of the control path: an errno name, what was wrong with the offending numbers in hex, and what to do.
 * Unchecked, so that no layer is tempted to swallow it; a method that throws it has left the state as it was.
 */
@ProviderType
public class ErrnoException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final Errno errno;
    private final String reason;

    /**
     * @param format a {@link String#format} text without the errno's name, which is put in front
     */
    public ErrnoException(Errno errno, String format, Object... arguments) {
        this(errno, arguments.length == 0 ? format : String.format(format, arguments));
    }

    private ErrnoException(Errno errno, String reason) {
        super(errno + ": " + reason);
        this.errno = errno;
        this.reason = reason;
    }

    /** An error with a cause. */
    public ErrnoException(Errno errno, Throwable cause, String format, Object... arguments) {
        this(errno, format, arguments);
        initCause(cause);
    }

    /** {@return the message without the errno's name in front, to be put into another one} */
    public String reason() {
        return reason;
    }

    /** {@return which error} */
    public Errno errno() {
        return errno;
    }
}
