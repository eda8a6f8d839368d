// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import machine.api.Refusal;

/**
 * Fault reasons as the fault records carry them (VT-d: fault reason encodings), and the refusal a device port gets for
 * each.
 */
final class Reason {
    static final int ROOT_NOT_PRESENT = 0x1;
    static final int CONTEXT_NOT_PRESENT = 0x2;
    static final int CONTEXT_INVALID = 0x3;
    static final int BEYOND_WIDTH = 0x4;
    static final int WRITE = 0x5;
    static final int READ = 0x6;
    static final int PAGE_TABLE_ACCESS = 0x7;
    static final int ROOT_TABLE_ACCESS = 0x8;
    static final int CONTEXT_TABLE_ACCESS = 0x9;
    static final int ROOT_RESERVED = 0xa;
    static final int CONTEXT_RESERVED = 0xb;
    static final int PAGE_TABLE_RESERVED = 0xc;
    static final int INTO_INTERRUPTS = 0xe;
    static final int INTERRUPT_RESERVED = 0x20;
    static final int INTERRUPT_INDEX = 0x21;
    static final int IRTE_NOT_PRESENT = 0x22;
    static final int IRTE_ACCESS = 0x23;
    static final int IRTE_RESERVED = 0x24;
    static final int COMPATIBILITY_BLOCKED = 0x25;
    static final int SOURCE_REFUSED = 0x26;

    private Reason() {
    }

    /** {@return whether a context entry's FPD silences it: all that is found once the context entry has been read} */
    static boolean qualified(int reason) {
        return switch (reason) {
            case ROOT_NOT_PRESENT, ROOT_TABLE_ACCESS, CONTEXT_TABLE_ACCESS, ROOT_RESERVED -> false;
            default -> true;
        };
    }

    /** @param mapped for a missing permission: something is mapped there */
    static int refusal(int reason, boolean mapped) {
        return switch (reason) {
            case ROOT_NOT_PRESENT, CONTEXT_NOT_PRESENT -> Refusal.NO_REQUESTER;
            case BEYOND_WIDTH -> Refusal.OUTSIDE;
            case WRITE, READ -> mapped ? Refusal.DENIED : Refusal.UNMAPPED;
            default -> Refusal.MALFORMED;
        };
    }
}
