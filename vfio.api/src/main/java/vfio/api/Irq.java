// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One interrupt index of a device, as VFIO_DEVICE_GET_IRQ_INFO describes it.
 *
 * @param index see the constants
 * @param count number of vectors; 0 if the device does not have the index
 * @param flags of the constants
 */
@ProviderType
public record Irq(int index, int count, int flags) {
    /** The interrupt pin. */
    public static final int INTX = 0;
    /** MSI. */
    public static final int MSI = 1;
    /** MSI-X. */
    public static final int MSIX = 2;
    /** PCIe errors. */
    public static final int ERR = 3;
    /** The host wants the device back. */
    public static final int REQ = 4;
    /** Flag: can signal an eventfd. */
    public static final int EVENTFD = 1;
    /** Flag: can be masked and unmasked. */
    public static final int MASKABLE = 2;
    /** Flag: masks itself when it fires. */
    public static final int AUTOMASKED = 4;
    /** Flag: the number of vectors in use is fixed by the first enabling. */
    public static final int NORESIZE = 8;
}
