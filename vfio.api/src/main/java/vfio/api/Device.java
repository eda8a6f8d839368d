// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.util.List;
import org.osgi.annotation.versioning.ProviderType;

/**
 * An open PCI device: regions, interrupts, reset. Owned by its opener. Values are little-endian.
 *
 * <p>The config space is virtualised: BARs and the MSI address and data are the user's scratch, memory enable and bus
 * master go through.
 */
@ProviderType
public interface Device extends AutoCloseable {
    /** {@return the name, {@code 0000:01:00.0}} */
    String name();

    /** {@return the requester id it speaks as on the bus} */
    int requester();

    /** {@return the regions by index, as {@link Region} numbers them} */
    List<Region> regions();

    /** {@return the interrupt indexes, as {@link Irq} numbers them} */
    List<Irq> irqs();

    /**
     * Reads from a region; larger reads are cut into naturally aligned pieces.
     *
     * @param size 1, 2, 4 or 8
     * @throws machine.api.ErrnoException EINVAL outside the region, for a region the device does not have; EIO for a
     *     BAR while memory is not enabled; ENODEV when the device is gone or closed
     */
    long read(int region, long offset, int size);

    /**
     * Writes to a region.
     *
     * @throws machine.api.ErrnoException as {@link #read}; EINVAL for a read-only region
     */
    void write(int region, long offset, int size, long value);

    /**
     * VFIO_DEVICE_SET_IRQS. When it returns, an eventfd that has been replaced or taken away is not signalled any more.
     * Every VFIO takes the eventfds that its own {@link Vfio#eventFd} made. Where interrupts pass this JVM, any other
     * {@link EventFd} does, too.
     *
     * @return 0, or the number of vectors there are when more were asked for than the device or the controller has:
     *     then nothing is enabled
     * @throws machine.api.ErrnoException EINVAL, ENOTTY as {@link IrqSet} says; EINVAL for an eventfd that
     *     the devices of this VFIO cannot signal; ENODEV if the MSI strategy needs
     *     something the user has not done; ENOSPC if no vector is free; EAGAIN if an MSI is to be enabled while the
     *     IOMMU is away
     */
    int setIrqs(IrqSet set);

    /**
     * Function-level reset. What the device was doing is over; interrupts stay enabled, and the command register stays
     * as the user has it, bus mastering included.
     *
     * @throws machine.api.ErrnoException ENODEV when the device is closed
     */
    void reset();

    /** Disables its interrupts, stops its bus mastering and gives it back. Idempotent. */
    @Override
    void close();
}
