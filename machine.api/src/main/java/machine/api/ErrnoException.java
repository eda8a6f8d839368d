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

    /**
     * @param format a {@link String#format} text without the errno's name, which is put in front
     */
    public ErrnoException(Errno errno, String format, Object... arguments) {
        super(errno + ": " + text(format, arguments));
        this.errno = errno;
    }

    /** An error with a cause. */
    public ErrnoException(Errno errno, Throwable cause, String format, Object... arguments) {
        super(errno + ": " + text(format, arguments), cause);
        this.errno = errno;
    }

    private static String text(String format, Object... arguments) {
        return arguments.length == 0 ? format : String.format(format, arguments);
    }

    /** {@return the message without the errno's name in front, to be put into another one} */
    public String reason() {
        return getMessage().substring(errno.name().length() + ": ".length());
    }

    /** {@return which error} */
    public Errno errno() {
        return errno;
    }
}
