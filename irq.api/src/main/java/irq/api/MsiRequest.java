// SPDX-License-Identifier: Apache-2.0
package irq.api;

import java.util.List;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A request for one MSI vector.
 *
 * @param requester id of the device that will send it; a controller that verifies the source lets only this one through
 * @param banks indexes of the banks it may come from, in order of preference
 * @param handler what to call when it arrives
 */
@ProviderType
public record MsiRequest(int requester, List<Integer> banks, InterruptHandler handler) {
    /** Copies. */
    public MsiRequest {
        banks = List.copyOf(banks);
        Objects.requireNonNull(handler);
    }
}
