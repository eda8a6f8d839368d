// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One refused device access, made only when one is refused.
 *
 * @param requester the requester id of the offender
 * @param iova first address of the refused bus request
 * @param length its bytes
 * @param access {@link Access#READ} or {@link Access#WRITE}
 * @param refusal why: a constant of {@link Refusal}
 */
@ProviderType
public record Fault(int requester, long iova, int length, int access, int refusal) {
    /** {@return the fault in one line, numbers in hex} */
    @Override
    public String toString() {
        return String.format("requester 0x%x: %s of %d bytes at iova 0x%x: %s", requester,
            access == Access.WRITE ? "write" : "read", length, iova, Refusal.name(refusal));
    }
}
