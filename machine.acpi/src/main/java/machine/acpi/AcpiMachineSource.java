// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.Map;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.local.LocalMachine;
import org.osgi.service.component.annotations.Component;

/**
 * The machine source for an ACPI DMAR table as firmware leaves it in {@code /sys/firmware/acpi/tables/DMAR}. Recognised
 * by the signature, not by the file's name. Stateless, thread-safe.
 */
@Component(name = "machine.acpi")
public final class AcpiMachineSource implements MachineSource {
    private static final byte[] SIGNATURE = {'D', 'M', 'A', 'R'};

    @Override
    public String reads() {
        return "ACPI DMAR table (.dmar)";
    }

    @Override
    public boolean recognises(String locator, byte[] content) {
        for (int i = 0; i < SIGNATURE.length; i++) {
            if (i >= content.length || content[i] != SIGNATURE[i]) {
                return false;
            }
        }
        return true;
    }

    /**
     * Makes the machine.
     *
     * @param options {@code memory}, {@code cpus}, {@code bridge.<name>}; see the README
     * @throws ErrnoException EINVAL if the table is malformed, with the offset and the reason, or for an option that is
     *     unknown, malformed, or contradicts the table
     */
    @Override
    public Machine open(String locator, byte[] content, Map<String, String> options) {
        return new LocalMachine(AcpiMachine.of(DmarReader.read(content), AcpiOptions.of(options)));
    }
}
