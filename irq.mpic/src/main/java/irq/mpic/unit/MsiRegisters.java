// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MsiLayout;

/**
 * The message registers of the MSI banks: 32 pending bits each, asserting one source while any is set. Guarded by the
 * lock of {@link Mpic}. (MPIC section 5.)
 */
final class MsiRegisters {
    private final MsiLayout layout;
    private final Sources sources;
    private final int[][] pending;

    MsiRegisters(MsiLayout layout, Sources sources) {
        this.layout = layout;
        this.sources = sources;
        pending = new int[layout.banks()][layout.registers()];
    }

    /** {@return the source that asks now} */
    int ring(int bank, int register, int bit) {
        pending[bank][register] |= 1 << bit;
        int source = MsiLayout.source(bank, register);
        sources.raise(source, true);
        return source;
    }

    int peek(int bank, int register) {
        return pending[bank][register];
    }

    /** Reading clears, and takes the source back. */
    int take(int bank, int register) {
        int bits = pending[bank][register];
        pending[bank][register] = 0;
        sources.raise(MsiLayout.source(bank, register), false);
        return bits;
    }

    int summary(int bank) {
        int summary = 0;
        for (int register = 0; register < layout.registers(); register++) {
            summary |= pending[bank][register] != 0 ? 1 << register : 0;
        }
        return summary;
    }
}
