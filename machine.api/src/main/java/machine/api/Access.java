// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/** The access of a device to an address, performed or permitted, seen from the device: a set of two bits. */
@ProviderType
public final class Access {
    /** The device reads memory. */
    public static final int READ = 1;
    /** The device writes memory. An MSI is a write. */
    public static final int WRITE = 2;
    /** Both. */
    public static final int READ_WRITE = READ | WRITE;

    private Access() {
    }

    /** {@return {@code "-"}, {@code "R"}, {@code "W"} or {@code "RW"}} */
    public static String name(int access) {
        return switch (access & READ_WRITE) {
            case READ -> "R";
            case WRITE -> "W";
            case READ_WRITE -> "RW";
            default -> "-";
        };
    }
}
