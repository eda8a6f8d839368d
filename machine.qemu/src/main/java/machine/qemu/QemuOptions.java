// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.qemu.process.Launch;

/**
 * The user's options for a machine.
 *
 * @param memory MiB
 * @param devices arguments of QEMU's {@code -device}
 * @param iommu properties of QEMU's IOMMU
 * @param binary the QEMU to run; empty for the one on the PATH
 */
record QemuOptions(int memory, List<String> devices, String iommu, String binary) {
    private static final int LEAST_MEMORY = 64;
    /** Both boards have all of it in one piece below their registers. */
    private static final int MOST_MEMORY = 2048;

    /**
     * @param memory MiB, unless the user says so
     * @throws ErrnoException EINVAL for an option that is unknown or malformed
     */
    static QemuOptions ofBoard(Map<String, String> options, int memory) {
        return read(new TreeMap<>(options), memory, List.of(), "", "memory and qemu");
    }

    /**
     * As {@link #ofBoard}, for a machine with an IOMMU and places for devices.
     *
     * @param devices unless the user says which
     * @param iommu unless the user says how
     */
    static QemuOptions of(Map<String, String> options, int memory, List<String> devices, String iommu) {
        Map<String, String> left = new TreeMap<>(options);
        String plugged = left.remove("devices");
        String properties = left.remove("iommu");
        return read(left, memory, plugged == null ? devices : split(plugged), properties == null ? iommu : properties,
            "devices, iommu, memory and qemu");
    }

    private static QemuOptions read(Map<String, String> left, int memory, List<String> devices, String iommu,
        String known) {
        String wanted = left.remove("memory");
        String binary = left.remove("qemu");
        if (!left.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "unknown option %s; there are %s", left.keySet().iterator().next(),
                known);
        }
        return new QemuOptions(wanted == null ? memory : mebibytes(wanted), devices, iommu,
            binary == null ? "" : binary);
    }

    /** {@return the launch, by the binary that is wanted} */
    Launch by(Launch launch) {
        return binary.isEmpty() ? launch : launch.by(binary);
    }

    private static int mebibytes(String text) {
        try {
            int memory = Integer.parseInt(text);
            if (memory >= LEAST_MEMORY && memory <= MOST_MEMORY) {
                return memory;
            }
        } catch (NumberFormatException e) {
            // Said below.
        }
        throw new ErrnoException(Errno.EINVAL, "option memory: '%s' is no number of MiB from %d to %d", text,
            LEAST_MEMORY, MOST_MEMORY);
    }

    /** Devices are separated by spaces, the properties of one by commas. */
    private static List<String> split(String text) {
        return Arrays.stream(text.trim().split("\\s+")).filter(word -> !word.isEmpty()).toList();
    }
}
