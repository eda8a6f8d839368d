// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * Hardware between devices and the interrupt controller that replaces a message by what a table says and verifies who
 * sent it (VT-d interrupt remapping). A service, provided by the driver that owns the table, used by the controller's
 * driver when it composes messages. Any thread.
 */
@ProviderType
public interface InterruptRemapping {
    /**
     * Takes a table entry and makes it present.
     *
     * @param requester the only requester whose messages pass
     * @param vector what is raised, 16..255
     * @param destination physical id of the local APIC
     * @return the entry's index
     * @throws machine.api.ErrnoException ENOSPC if the table is full; EINVAL for a vector or destination the entry
     *     cannot hold
     */
    int allocate(int requester, int vector, int destination);

    /**
     * Gives an entry back. When this returns, messages through it are refused; one that had passed it already may still
     * arrive. Does not wait for messages in flight, so a handler may call it.
     *
     * @throws machine.api.ErrnoException ENOENT if it is not allocated
     */
    void release(int index);

    /**
     * {@return what the device must write to use the entry; offset from the start of the doorbell range}
     *
     * @throws machine.api.ErrnoException ENOENT if it is not allocated
     */
    MsiMessage compose(int index);
}
