// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;

/**
 * The options for what a DMAR table does not describe.
 *
 * @param memory pieces of RAM in the order given; empty if the user said nothing
 * @param cpus number of cores
 * @param bridges PCI bridges by name
 */
record AcpiOptions(List<Node.Range> memory, int cpus, Map<String, Bridge> bridges) {
    /**
     * A bridge.
     *
     * @param parent name of the slot it is plugged into, or the address of a bridge on a root bus
     * @param place device {@literal <<} 3 | function
     * @param conventional whether what is behind it is conventional PCI
     * @param bus its secondary bus number, or -1 for the next free one
     */
    record Bridge(String parent, int place, boolean conventional, int bus) {
    }

    private static final String BRIDGE = "bridge.";
    private static final Pattern PLACE =
        Pattern.compile("([\\w.:-]+)/([01]?[0-9a-f])\\.([0-7])(?:,(pcie?))?(?:,bus=([0-9a-f]{1,2}))?");
    private static final Pattern NUMBER = Pattern.compile("(0x[0-9a-fA-F]{1,13}|[0-9]{1,15})([KMG]?)");

    static AcpiOptions of(Map<String, String> options) {
        List<Node.Range> memory = List.of();
        int cpus = 4;
        Map<String, Bridge> bridges = new LinkedHashMap<>();
        for (Map.Entry<String, String> option : new TreeMap<>(options).entrySet()) {
            String name = option.getKey();
            String value = option.getValue();
            if (name.equals("memory")) {
                memory = memory(value);
            } else if (name.equals("cpus")) {
                cpus = cpus(value);
            } else if (name.startsWith(BRIDGE) && name.substring(BRIDGE.length()).matches("[\\w-]+")) {
                bridges.put(name.substring(BRIDGE.length()), bridge(name, value));
            } else {
                throw new ErrnoException(Errno.EINVAL, "option %s=%s: there are memory, cpus and bridge.<name>", name,
                    value);
            }
        }
        return new AcpiOptions(memory, cpus, bridges);
    }

    private static List<Node.Range> memory(String value) {
        List<Node.Range> memory = new ArrayList<>();
        for (String piece : value.split(",", -1)) {
            String[] parts = piece.strip().split("\\+", -1);
            long base = parts.length == 2 ? number(parts[0]) : -1;
            long size = parts.length == 2 ? number(parts[1]) : -1;
            if (base < 0 || size <= 0 || ((base | size) & 0xfff) != 0) {
                throw new ErrnoException(Errno.EINVAL,
                    "option memory=%s: give base+size,... of whole 4 KiB pages, in decimal or hex, with K, M or G",
                    value);
            }
            memory.add(new Node.Range(base, size));
        }
        return memory;
    }

    /** {@return the number; -1 if it is none} */
    private static long number(String text) {
        Matcher matcher = NUMBER.matcher(text.strip());
        if (!matcher.matches()) {
            return -1;
        }
        int shift = switch (matcher.group(2)) {
            case "K" -> 10;
            case "M" -> 20;
            case "G" -> 30;
            default -> 0;
        };
        long number = Long.decode(matcher.group(1).startsWith("0x") ? matcher.group(1) : decimal(matcher.group(1)));
        return number >>> 52 - shift != 0 ? -1 : number << shift;
    }

    /** Without leading zeros, which decode would take for octal. */
    private static String decimal(String digits) {
        return Long.toString(Long.parseLong(digits));
    }

    private static int cpus(String value) {
        int cpus = value.matches("[0-9]{1,3}") ? Integer.parseInt(value) : 0;
        if (cpus < 1 || cpus > 255) {
            throw new ErrnoException(Errno.EINVAL, "option cpus=%s: 1..255 local APICs have an 8-bit id", value);
        }
        return cpus;
    }

    private static Bridge bridge(String name, String value) {
        Matcher matcher = PLACE.matcher(value);
        int device = matcher.matches() ? Integer.parseInt(matcher.group(2), 16) : -1;
        int bus = device < 0 || matcher.group(5) == null ? -1 : Integer.parseInt(matcher.group(5), 16);
        if (device < 0 || bus == 0) {
            throw new ErrnoException(Errno.EINVAL,
                "option %s=%s: give <slot>/<device>.<function>[,pci|pcie][,bus=<number>], in hex",
                name, value);
        }
        return new Bridge(matcher.group(1), device << 3 | Integer.parseInt(matcher.group(3)),
            "pci".equals(matcher.group(4)), bus);
    }
}
