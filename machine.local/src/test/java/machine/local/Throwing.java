// SPDX-License-Identifier: Apache-2.0
package machine.local;

/** Throws what no signature announces, as code of another language or of a stale bundle may. */
final class Throwing {
    private Throwing() {
    }

    /** @param thrown a checked exception, too */
    static void any(Throwable thrown) {
        Throwing.<RuntimeException>unannounced(thrown);
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void unannounced(Throwable thrown) throws T {
        throw (T) thrown;
    }
}
