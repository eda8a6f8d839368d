// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Map;
import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;

/**
 * Loads the framework's one machine, whatever its description is: asks every {@link MachineSource}, then publishes the
 * {@link Machine} and its {@link Node}s as services. A service, provided by {@code machine.osgi}. Thread-safe.
 */
@ProviderType
public interface Machines {
    /**
     * @param locator a file, or whatever else a source understands
     * @param options overrides of what the description says; which ones there are says the source's README
     * @throws ErrnoException ENOENT or EACCES if the file cannot be read; EINVAL if no source knows it or it is
     *     malformed; EBUSY if a machine is loaded
     */
    Machine load(String locator, Map<String, String> options);

    /** {@return the loaded machine} */
    Optional<Machine> machine();

    /** Takes the machine's services away again. Without a machine does nothing. */
    void unload();
}
