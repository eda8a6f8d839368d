// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import machine.acpi.DmarTable.Andd;
import machine.acpi.DmarTable.Atsr;
import machine.acpi.DmarTable.DeviceScope;
import machine.acpi.DmarTable.Drhd;
import machine.acpi.DmarTable.Rhsa;
import machine.acpi.DmarTable.Rmrr;
import machine.acpi.DmarTable.Satc;
import machine.acpi.DmarTable.ScopeType;
import machine.acpi.DmarTable.Structure;
import machine.acpi.DmarTable.Unknown;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The reader of a DMAR table. Faults that Linux tolerates are tolerated with a warning: a wrong checksum, entries
 * reported twice, an order other than specified, zeros at the end, regions that are none, anything in a structure that
 * is only shown. What would leave a unit, or whom it translates for, in doubt is EINVAL with its offset. Unknown
 * structure and scope types are skipped by their length, reserved fields are not looked at, as ACPI asks for the sake
 * of later tables. Little-endian, like all of ACPI.
 */
final class DmarReader {
    /** ACPI: the header that all tables have. */
    private static final int ACPI_HEADER = 36;
    private static final int HEADER = 48;
    private static final int SCOPE_HEADER = 6;
    private static final int INCLUDE_PCI_ALL = 1;
    /** More than any firmware has; keeps a hostile table from costing memory. */
    private static final int MAX_LENGTH = 1 << 16;
    /** Each unit that is modelled costs memory: caches by source id. */
    private static final int MAX_UNITS = 128;
    /** x86's physical addresses; RAM and register windows end there. */
    private static final int MAX_WIDTH = 52;

    private final ByteBuffer bytes;
    /** The length field; what follows is no part of the table. */
    private int end;
    private final List<Structure> structures = new ArrayList<>();
    private final List<String> warnings = new ArrayList<>();
    /** The first unit with INCLUDE_PCI_ALL of each segment. */
    private final Map<Integer, Drhd> forAll = new HashMap<>();
    private final Map<Long, Drhd> units = new HashMap<>();
    private int addressWidth;

    private DmarReader(byte[] content) {
        bytes = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** @throws ErrnoException EINVAL if the table is malformed, with the offset and the reason */
    static DmarTable read(byte[] content) {
        return new DmarReader(content).table();
    }

    /** {@return the error for something wrong at an offset of the table} */
    static ErrnoException malformed(int offset, String reason, Object... arguments) {
        return new ErrnoException(Errno.EINVAL, "%s", at(offset, reason, arguments));
    }

    /** {@return one line about an offset of the table} */
    static String at(int offset, String text, Object... arguments) {
        return String.format("DMAR at offset 0x%x: %s", offset, String.format(text, arguments));
    }

    private void warn(int offset, String text, Object... arguments) {
        warnings.add(at(offset, text, arguments));
    }

    private DmarTable table() {
        header();
        Map<ByteBuffer, Integer> seen = new HashMap<>();
        for (int at = HEADER; at < end; ) {
            int left = end - at;
            int length = left < 4 ? 0 : u16(at + 2);
            if (length == 0) {
                warn(at, zeros(at) ? "0x%x bytes of zeros behind the last structure; they are left out"
                    : "a structure of 0 bytes; it and the rest, 0x%x bytes, are left out", left);
                break;
            }
            if (length < 4 || length > left) {
                throw malformed(at,
                    "structure of 0x%x bytes where 0x%x are left; dump the table again, or have its firmware corrected",
                    length, left);
            }
            int type = u16(at);
            Integer before = seen.putIfAbsent(bytes.slice(at, length), at);
            if (before == null) {
                structure(at, type, length).ifPresent(structures::add);
            } else {
                warn(at, "the same structure (type %d) as at offset 0x%x, to the bit; it counts once", type, before);
            }
            at += length;
        }
        if (units.size() > MAX_UNITS) {
            throw malformed(HEADER, "%d remapping units (DRHD); more than %d are not believed", units.size(),
                MAX_UNITS);
        }
        if (units.isEmpty()) {
            throw malformed(HEADER, "no remapping unit (DRHD): no IOMMU on this board");
        }
        structures.stream().filter(Rhsa.class::isInstance).map(Rhsa.class::cast)
            .filter(rhsa -> !units.containsKey(rhsa.base()))
            .forEach(rhsa -> warn(rhsa.offset(), "RHSA for a unit at 0x%x, which is not there; nothing follows from it",
                rhsa.base()));
        return new DmarTable(text(10, 6), text(16, 8), addressWidth, u8(37), structures, warnings);
    }

    private boolean zeros(int from) {
        for (int i = from; i < end; i++) {
            if (bytes.get(i) != 0) {
                return false;
            }
        }
        return true;
    }

    private void header() {
        int size = bytes.capacity();
        if (size < HEADER) {
            throw malformed(size, "ends after 0x%x bytes, the header has 0x%x; dump the table again", size, HEADER);
        }
        if (!text(0, 4).equals("DMAR")) {
            throw malformed(0, "signature is not DMAR");
        }
        end = bytes.getInt(4);
        if (end < HEADER || end > size) {
            throw malformed(4, "length field says 0x%x, there are 0x%x bytes; dump the table again", end, size);
        }
        if (end > MAX_LENGTH) {
            throw malformed(4, "0x%x bytes; more than 0x%x are not believed", end, MAX_LENGTH);
        }
        if (end < size) {
            warn(4, "length field says 0x%x, there are 0x%x bytes; what is behind is left out", end, size);
        }
        int sum = 0;
        for (int i = 0; i < end; i++) {
            sum += bytes.get(i);
        }
        if ((sum & 0xff) != 0) {
            warn(9, "checksum: the bytes add up to 0x%x instead of 0; the table is taken as it is", sum & 0xff);
        }
        int said = u8(ACPI_HEADER) + 1;
        if (said == 1) {
            throw malformed(ACPI_HEADER,
                "host address width of 1 bits (0x1): no address has so few; have the firmware corrected");
        }
        addressWidth = said < 32 || said > 64 ? MAX_WIDTH : said;
        if (addressWidth != said) {
            warn(ACPI_HEADER, "host address width of %d bits (0x%x); 32..64 make sense, and %d are taken", said, said,
                addressWidth);
        }
    }

    /** {@return the structure; empty if it is left out} */
    private Optional<Structure> structure(int at, int type, int length) {
        return switch (type) {
            case 0 -> Optional.of(drhd(at, length));
            case 1 -> rmrr(at, length);
            case 2 -> shown(() -> {
                need(at, "ATSR", length, 8);
                return new Atsr(at, (u8(at + 4) & 1) != 0, u16(at + 6), scopes(at + 8, at + length));
            });
            case 3 -> shown(() -> {
                need(at, "RHSA", length, 20);
                return new Rhsa(at, bytes.getLong(at + 8), bytes.getInt(at + 16));
            });
            case 4 -> shown(() -> andd(at, length));
            case 5 -> shown(() -> {
                need(at, "SATC", length, 8);
                return new Satc(at, (u8(at + 4) & 1) != 0, u16(at + 6), scopes(at + 8, at + length));
            });
            default -> Optional.of(new Unknown(at, type, length));
        };
    }

    /** A structure from which nothing follows but a node to look at. */
    private Optional<Structure> shown(Supplier<Structure> read) {
        try {
            return Optional.of(read.get());
        } catch (ErrnoException e) {
            warnings.add(e.reason() + "; the structure is left out");
            return Optional.empty();
        }
    }

    private Drhd drhd(int at, int length) {
        need(at, "DRHD", length, 16);
        boolean all = (u8(at + 4) & INCLUDE_PCI_ALL) != 0;
        int segment = u16(at + 6);
        // 2^n pages; 0 in tables older than the field.
        long size = 0x1000L << (u8(at + 5) & 0xf);
        long base = bytes.getLong(at + 8);
        if (base == 0) {
            throw malformed(at + 8,
                "DRHD base 0x0: this unit is switched off by firmware; switch VT-d on in its setup, or update it, "
                + "then dump the table again");
        }
        if ((base & 0xfff) != 0) {
            throw malformed(at + 8,
                "DRHD base 0x%x is not a multiple of 0x1000: no unit can be there; have the firmware corrected", base);
        }
        if (base + size - 1 >>> MAX_WIDTH != 0) {
            throw malformed(at + 8,
                "DRHD base 0x%x+0x%x is beyond %d bits: no unit can be there; have the firmware corrected", base, size,
                MAX_WIDTH);
        }
        if (base + size - 1 >>> Math.min(addressWidth, MAX_WIDTH) != 0) {
            warn(at + 8,
                "DRHD base 0x%x+0x%x is beyond the host address width of %d bits; the unit is taken to be there", base,
                size, addressWidth);
        }
        Drhd unit = new Drhd(at, all, segment, base, size, scopes(at + 16, at + length));
        Drhd before = units.putIfAbsent(base, unit);
        if (before != null) {
            throw malformed(at,
                "DRHD 0x%x (segment 0x%x, flags 0x%x) differs from the one for the same address at offset 0x%x "
                    + "(segment 0x%x, flags 0x%x): which devices are behind it is not known; have the firmware "
                    + "corrected",
                base, segment, u8(at + 4), before.offset(), before.segment(), u8(before.offset() + 4));
        }
        Drhd last = all ? forAll.putIfAbsent(segment, unit) : forAll.get(segment);
        if (last != null) {
            warn(at, all ? "a second DRHD of segment 0x%x with INCLUDE_PCI_ALL; the first, at offset 0x%x, counts"
                : "DRHD of segment 0x%x after the one with INCLUDE_PCI_ALL, at offset 0x%x, which is to be its last; "
                    + "devices that it names are behind it all the same", segment, last.offset());
        }
        return unit;
    }

    private Optional<Structure> rmrr(int at, int length) {
        need(at, "RMRR", length, 24);
        long base = bytes.getLong(at + 8);
        long limit = bytes.getLong(at + 16);
        int width = Math.min(addressWidth, MAX_WIDTH);
        if (base == 0 && limit == 0 || Long.compareUnsigned(limit, base) < 0) {
            warn(at + 8, "RMRR 0x%x..0x%x %s; the region is left out", base, limit, limit == 0 && base == 0 ? "is empty"
                : "ends before it starts");
            return Optional.empty();
        }
        if (base >>> width != 0) {
            warn(at + 8, "RMRR 0x%x..0x%x is beyond the host address width of %d bits; the region is left out", base,
                limit, addressWidth);
            return Optional.empty();
        }
        long first = base & -0x1000L;
        long last = limit >>> width != 0 ? (1L << width) - 1 : limit | 0xfff;
        if (first != base || last != limit) {
            warn(at + 8, "RMRR 0x%x..0x%x is not whole 4 KiB pages within %d bits; 0x%x..0x%x is taken", base, limit,
                width, first, last);
        }
        return Optional.of(new Rmrr(at, u16(at + 6), first, last, scopes(at + 24, at + length)));
    }

    private Andd andd(int at, int length) {
        need(at, "ANDD", length, 9);
        StringBuilder name = new StringBuilder();
        for (int i = at + 8; u8(i) != 0; i++) {
            if (u8(i) < 0x20 || u8(i) > 0x7e || i + 1 == at + length) {
                throw malformed(i, "ANDD name is not ASCII up to a 0");
            }
            name.append((char) u8(i));
        }
        return new Andd(at, u8(at + 7), name.toString());
    }

    private List<DeviceScope> scopes(int at, int stop) {
        List<DeviceScope> scopes = new ArrayList<>();
        while (at < stop) {
            int length = stop - at < SCOPE_HEADER ? stop - at : u8(at + 1);
            if (length < SCOPE_HEADER || length > stop - at) {
                throw malformed(at,
                    "device scope of 0x%x bytes where 0x%x are left; dump the table again, or have its firmware "
                        + "corrected",
                    length, stop - at);
            }
            int type = u8(at);
            if (type >= 1 && type <= ScopeType.values().length) {
                scope(at, ScopeType.values()[type - 1], length).ifPresent(scopes::add);
            }
            at += length;
        }
        return List.copyOf(scopes);
    }

    /** {@return the device; empty if there can be none} */
    private Optional<DeviceScope> scope(int at, ScopeType type, int length) {
        if (length < SCOPE_HEADER + 2) {
            warn(at,
                "device scope of 0x%x bytes; it is 6 and 2 for each hop of at least one, so it names nothing and is "
                    + "left out",
                length);
            return Optional.empty();
        }
        if (length % 2 != 0) {
            warn(at, "device scope of 0x%x bytes; it is 6 and 2 for each hop, so the last byte is left out", length);
        }
        List<Integer> path = new ArrayList<>();
        for (int hop = at + SCOPE_HEADER; hop + 1 < at + length; hop += 2) {
            int device = u8(hop);
            int function = u8(hop + 1);
            if (device > 31 || function > 7) {
                warn(hop, "PCI device 0x%x function 0x%x: there can be none, and the device scope is left out", device,
                    function);
                return Optional.empty();
            }
            path.add(device << 3 | function);
        }
        return Optional.of(new DeviceScope(at, type, u8(at + 4), u8(at + 5), path));
    }

    private void need(int at, String name, int length, int least) {
        if (length < least) {
            throw malformed(at, "%s of 0x%x bytes; it has at least 0x%x", name, length, least);
        }
    }

    private String text(int at, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = at; i < at + length && u8(i) != 0; i++) {
            text.append(u8(i) < 0x20 || u8(i) > 0x7e ? '?' : (char) u8(i));
        }
        return text.toString().stripTrailing();
    }

    private int u8(int at) {
        return bytes.get(at) & 0xff;
    }

    private int u16(int at) {
        return bytes.getShort(at) & 0xffff;
    }
}
