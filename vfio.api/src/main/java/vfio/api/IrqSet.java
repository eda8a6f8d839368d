// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The argument of VFIO_DEVICE_SET_IRQS.
 *
 * <p>Refused with EINVAL: an index the device does not have, a start or start + count beyond its vectors, more than one
 * kind of data, no eventfd to enable an index with, and a call without data while the index is not enabled: signalling
 * or disabling REQ requires an eventfd. Refused with ENOTTY: an action the index does not have (MSI cannot be masked).
 *
 * @param index of {@link Irq}
 * @param action the action
 * @param start first vector
 * @param count number of vectors; TRIGGER with no data and count 0 disables the index, whichever vector it starts at
 * @param data the kind of data
 * @param booleans for BOOL: which of the vectors
 * @param eventFds for EVENTFD: one per vector; null removes a vector's eventfd
 */
@ProviderType
public record IrqSet(int index, Action action, int start, int count, Data data, List<Boolean> booleans,
        List<EventFd> eventFds) {
    /** The action on an interrupt. */
    public enum Action { MASK, UNMASK, TRIGGER }

    /** The kind of data that selects the vectors. */
    public enum Data { NONE, BOOL, EVENTFD }

    /** Copies. */
    public IrqSet {
        Objects.requireNonNull(action);
        Objects.requireNonNull(data);
        booleans = List.copyOf(booleans);
        eventFds = Collections.unmodifiableList(new ArrayList<>(eventFds));
    }

    /** {@return enable vectors, or give enabled ones other eventfds} */
    public static IrqSet eventFds(int index, int start, EventFd... eventFds) {
        return new IrqSet(index, Action.TRIGGER, start, eventFds.length, Data.EVENTFD, List.of(),
            Arrays.asList(eventFds));
    }

    /** {@return disable the index} */
    public static IrqSet disable(int index) {
        return none(index, Action.TRIGGER, 0, 0);
    }

    /** {@return mask, unmask or fire vectors without further data} */
    public static IrqSet none(int index, Action action, int start, int count) {
        return new IrqSet(index, action, start, count, Data.NONE, List.of(), List.of());
    }

    /** {@return mask, unmask or fire those vectors for which there is a true} */
    public static IrqSet booleans(int index, Action action, int start, List<Boolean> which) {
        return new IrqSet(index, action, start, which.size(), Data.BOOL, which, List.of());
    }
}
