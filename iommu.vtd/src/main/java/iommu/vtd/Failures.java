// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/** The failures of several steps that all must run: the first is thrown, with the others as suppressed. */
final class Failures {
    private Failures() {
    }

    /** {@return the first, with the next one suppressed in it} */
    static Throwable add(Throwable first, Throwable next) {
        if (first == null) {
            return next;
        }
        if (first != next) {
            first.addSuppressed(next);
        }
        return first;
    }

    /** Throws it, unless it is null. Nothing that is called here declares a checked exception. */
    static void end(Throwable failure) {
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure instanceof RuntimeException unchecked) {
            throw unchecked;
        }
        if (failure != null) {
            throw new IllegalStateException(failure);
        }
    }
}
