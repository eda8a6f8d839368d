// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MpicRegisters;
import irq.mpic.MsiLayout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;

/**
 * The parameters of an MPIC.
 *
 * @param version BRR1 bits 15:0
 * @param sources number of interrupt sources, at least as many as the MSI banks need, at most 2048
 * @param cpus number of cores, 1..32
 * @param layout the MSI banks
 */
public record MpicModel(int version, int sources, int cpus, MsiLayout layout) {
    private static final int LAST_SOURCE_FIELD = 0x7ff;
    private static final int IP_ID = 0x0040;

    /** Checks. */
    public MpicModel {
        if (sources < layout.endOfSources() || sources > MpicRegisters.MAX_SOURCES) {
            throw new IllegalArgumentException(
                sources + " sources, not " + layout.endOfSources() + " to " + MpicRegisters.MAX_SOURCES);
        }
        if (cpus < 1 || cpus > MpicRegisters.MAX_CPUS) {
            throw new IllegalArgumentException(cpus + " cores, not 1 to " + MpicRegisters.MAX_CPUS);
        }
        if ((version & ~0xffff) != 0) {
            throw new IllegalArgumentException(String.format("version 0x%x has more than 16 bits", version));
        }
    }

    /**
     * {@return the MPIC a machine describes: the layout by the {@code compatible} strings of its MSI banks, as many
     * cores as the machine has, and enough sources for every interrupt that is wired to it}
     *
     * @param version BRR1 bits 15:0; 0 for 0x0403 where the banks are those of 4.3, else 0x0402
     * @throws ErrnoException EINVAL if the machine has more cores than an MPIC can name
     */
    public static MpicModel of(Machine machine, Node node, int version) {
        boolean v43 = machine.nodes().stream().anyMatch(each -> each.compatibleWith(MsiLayout.V4_3.compatible()));
        MsiLayout layout = v43 ? MsiLayout.V4_3 : MsiLayout.THREE_BANKS;
        int sources = layout.endOfSources();
        for (Node each : machine.nodes()) {
            for (Wire wire : each.interrupts()) {
                // A number without registers is not a source; its driver is told when it asks for it.
                if (wire.controller().equals(node.path()) && wire.input() < MpicRegisters.MAX_SOURCES) {
                    sources = Math.max(sources, wire.input() + 1);
                }
            }
        }
        int cpus = machine.cpus().size();
        if (cpus < 1 || cpus > MpicRegisters.MAX_CPUS) {
            throw new ErrnoException(Errno.EINVAL, "%s: a machine of %d cores; an MPIC serves 1 to %d", node.path(),
                cpus, MpicRegisters.MAX_CPUS);
        }
        return new MpicModel(version != 0 ? version : v43 ? 0x0403 : 0x0402, sources, cpus, layout);
    }

    /** {@return whether this version is that one or later} */
    boolean has(int first) {
        return version >= first;
    }

    int cpuMask() {
        return -1 >>> 32 - cpus;
    }

    int brr1() {
        return IP_ID << 16 | version;
    }

    /** Last source, last core, and 2 for OpenPIC version 1.2. */
    int frr() {
        return (sources - 1 & LAST_SOURCE_FIELD) << 16 | cpus - 1 << 8 | 2;
    }
}
