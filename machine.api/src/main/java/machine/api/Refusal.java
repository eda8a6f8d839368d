// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The negative numbers the data path answers with instead of a physical address or of {@link Bus#OK}. They are the
 * data path's only way to report an error; the record made of one is a {@link Fault}.
 */
@ProviderType
public final class Refusal {
    /** No unit translates for this requester now: none attached, its gate closed, or the unit disabled. */
    public static final int BLOCKED = -1;
    /** The unit has no valid entry for this requester id. */
    public static final int NO_REQUESTER = -2;
    /** The address lies outside the requester's aperture (or address width). */
    public static final int OUTSIDE = -3;
    /** The address lies inside the aperture, but nothing is mapped there. */
    public static final int UNMAPPED = -4;
    /** Something is mapped there, but not for this kind of access. */
    public static final int DENIED = -5;
    /** The unit found a table entry it cannot use: a reserved bit or value, or a table outside its limits. */
    public static final int MALFORMED = -6;
    /** The address was translated, but neither memory nor a register window answers at the physical address. */
    public static final int NO_TARGET = -7;
    /** The access has a form that hardware does not accept there, such as a read of a doorbell range. */
    public static final int UNSUPPORTED = -8;
    /** It is memory, but the host has none left to put in its place. Nothing was written. */
    public static final int NO_MEMORY = -9;

    private static final String[] NAMES = {
        "OK", "BLOCKED", "NO_REQUESTER", "OUTSIDE", "UNMAPPED", "DENIED", "MALFORMED", "NO_TARGET", "UNSUPPORTED",
        "NO_MEMORY"};

    private Refusal() {
    }

    /** {@return the constant's name, {@code "OK"} for anything not negative, the number for one not listed here} */
    public static String name(long code) {
        if (code >= 0) {
            return NAMES[0];
        }
        return -code < NAMES.length ? NAMES[(int) -code] : Long.toString(code);
    }
}
