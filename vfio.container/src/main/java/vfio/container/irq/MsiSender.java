// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

/** The MSI side of a device: its identity, and the message it sends. */
public interface MsiSender {
    String name();

    /** {@return the id it speaks by on the bus} */
    int requester();

    /** From now on it sends that message; when this returns, the one before is not on its way any more. */
    void msiOn(long address, int data);

    /** From now on it sends none. */
    void msiOff();
}
