// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One region of a device, as VFIO_DEVICE_GET_REGION_INFO describes it.
 *
 * @param index see the constants
 * @param size bytes; 0 if the device does not have the region
 * @param flags {@link #READ}, {@link #WRITE}, or 0
 */
@ProviderType
public record Region(int index, long size, int flags) {
    /** BAR n is region n, 0..5. */
    public static final int BAR0 = 0;
    /** Expansion ROM. */
    public static final int ROM = 6;
    /** Config space. */
    public static final int CONFIG = 7;
    /** Legacy VGA. */
    public static final int VGA = 8;
    /** Flag. */
    public static final int READ = 1;
    /** Flag. */
    public static final int WRITE = 2;
}
