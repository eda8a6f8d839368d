// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import machine.api.PciFunction;

/**
 * PCI classes of devices that work without the memory that firmware wants mapped one to one for them (an RMRR), because
 * firmware does not use it any more when a driver has taken the device over. Every other device with such memory is not
 * given to a user. Immutable.
 *
 * @param prefixes each the first one, two or three bytes of a class code: base class, sub-class, programming interface
 */
public record RelaxableClasses(List<String> prefixes) {
    /**
     * USB host controllers of any interface and every display controller, as Linux has it (drivers/iommu/intel/iommu.c,
     * device_rmrr_is_relaxable): the one's memory is for a keyboard's emulation before there is a driver, the other's
     * is stolen memory.
     */
    public static final RelaxableClasses LINUX = new RelaxableClasses(List.of("0c03", "03"));
    /** A class as it is written. */
    public static final String PREFIX = "([0-9a-fA-F]{2}){1,3}";
    /** Dword of config space with the class code in its upper 24 bits. */
    private static final int CLASS_AND_REVISION = 0x08;
    private static final int CLASS_BITS = 24;

    /** @throws IllegalArgumentException for what is not 2, 4 or 6 hexadecimal digits */
    public RelaxableClasses {
        List<String> checked = new ArrayList<>();
        for (String prefix : prefixes) {
            String digits = prefix.trim();
            if (!digits.matches(PREFIX)) {
                throw new IllegalArgumentException("relaxable.rmrr.classes: \"" + prefix
                    + "\" is no class; give 2, 4 or 6 hexadecimal digits each, such as 03 or 0c03, or nothing at all");
            }
            checked.add(digits);
        }
        prefixes = List.copyOf(checked);
    }

    /** Whether a device of that class, a number of 24 bits, is one of them. */
    public boolean include(int classCode) {
        return prefixes.stream()
            .anyMatch(prefix -> classCode >>> CLASS_BITS - 4 * prefix.length() == HexFormat.fromHexDigits(prefix));
    }

    /** {@return the class code in that device's config space} */
    public static int classCode(PciFunction function) {
        return (int) (function.readConfig(CLASS_AND_REVISION, 4) >>> 8) & 0xff_ffff;
    }
}
