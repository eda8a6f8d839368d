// SPDX-License-Identifier: Apache-2.0
package machine.local;

/**
 * Reports the exceptions of foreign code that was called back: a handler, a listener, a level. The caller goes on,
 * since neither the device nor the user on whose thread it ran can do anything about it.
 */
final class ForeignCode {
    private static final System.Logger LOG = System.getLogger("machine.local");

    private ForeignCode() {
    }

    /**
     * @param role what it was called as, e.g. a listener of faults
     * @param code its class is named
     */
    static void failed(String role, Object code, Throwable thrown) {
        try {
            LOG.log(System.Logger.Level.ERROR, role + " failed (" + code.getClass().getName() + ")", thrown);
        } catch (Throwable again) {
            // A log that cannot be written to, as on a stack that is full: there is nobody else to tell, and the caller
            // has to go on.
            thrown.addSuppressed(again);
        }
    }
}
