// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Map;
import org.osgi.annotation.versioning.ConsumerType;

/** Makes a machine of a description it understands: a device tree, an ACPI table, another process. A service. */
@ConsumerType
public interface MachineSource {
    /** {@return what it reads, for an error message: {@code flattened device tree (.dtb)}} */
    String reads();

    /**
     * @param locator as the user gave it
     * @param content the content of the file of that name; empty if there is none
     * @return whether this source is the one to ask; it may still find the content malformed
     */
    boolean recognises(String locator, byte[] content);

    /**
     * @param options see {@link Machines#load}; an unknown option is an error
     * @return a new machine
     * @throws ErrnoException EINVAL if the description is malformed or contradicts itself, with the offset and the
     *     reason
     */
    Machine open(String locator, byte[] content, Map<String, String> options);
}
