// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import machine.api.Errno;
import machine.api.ErrnoException;

/** Steps that all run, whatever one of them throws: releasing resources, notifying listeners. One thread. */
public final class Cleanup {
    private Throwable failure;

    public void take(Runnable step) {
        try {
            step.run();
        } catch (Throwable e) {
            // A checked one, too: steps are others' code, and not all of that is Java.
            if (failure == null) {
                failure = e;
            } else if (failure != e) {
                failure.addSuppressed(e);
            }
        }
    }

    /** Throws what the first step threw that threw, with the others' suppressed. */
    public void end() {
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure instanceof RuntimeException exception) {
            throw exception;
        }
        if (failure != null) {
            throw new ErrnoException(Errno.EIO, failure, "%s", failure);
        }
    }
}
