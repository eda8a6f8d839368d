// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import irq.api.InterruptController;
import java.util.List;
import machine.api.Machine;
import vfio.api.swap.Swap;

/**
 * A container's view of its host: the backends, the limits, the listeners. Any thread, any lock.
 */
public interface Host {
    Machine machine();

    /** {@return what each container may have, as of now} */
    ContainerLimits limits();

    /** {@return how providers are called during a swap} */
    ProviderCalls calls();

    /** {@return the IOMMUs that are there, in the order they are considered} */
    List<IommuProvider> iommus();

    /** {@return the types of all IOMMUs, each once} */
    default List<String> iommuTypes() {
        return iommus().stream().flatMap(provider -> provider.types().stream()).distinct().toList();
    }

    /** {@return the interrupt controller that acts; null while there is none} */
    InterruptController controller();

    /** {@return what reports call the interrupt controller; empty while there is none} */
    String controllerLabel();

    /** {@return the strategies in the order they are considered} */
    List<RankedStrategy> strategies();

    /** {@return whether the cores have served everything that was asserted, after a while at most} */
    boolean served();

    /** A swap has ended, or an attempt has failed: announced when the reporting thread holds no lock any more. */
    void report(Swap swap);

    /** A vector has become free, or the use of a bank: routes that wait are looked at again, on another thread. */
    void vectorFree();

    /** A bank is not within a container's reach any more: it may be what isolation kept another one's routes from. */
    void bankFree();
}
