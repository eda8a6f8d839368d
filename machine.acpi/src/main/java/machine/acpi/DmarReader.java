// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
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
 * Reads a DMAR table, strictly: what it lets through can be worked with. Unknown structure and scope types are skipped by
 * their length, reserved fields are not looked at, as ACPI asks for the sake of later tables; everything else that is not
 * as specified is EINVAL with its offset. Little-endian, like all of ACPI.
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

    private final ByteBuffer bytes;
    private final List<Structure> structures = new ArrayList<>();
    /** Segments whose INCLUDE_PCI_ALL unit has been seen. */
    private final Set<Integer> closedSegments = new HashSet<>();
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
        return new ErrnoException(Errno.EINVAL, "DMAR at offset 0x%x: %s; dump the table again, or have its firmware corrected",
            offset, String.format(reason, arguments));
    }

    private DmarTable table() {
        header();
        for (int at = HEADER; at < bytes.capacity(); ) {
            int left = bytes.capacity() - at;
            int length = left < 4 ? left : u16(at + 2);
            if (left < 4 || length < 4 || length > left) {
                throw malformed(at, "structure of 0x%x bytes where 0x%x are left", length, left);
            }
            structures.add(structure(at, u16(at), length));
            at += length;
        }
        long units = structures.stream().filter(Drhd.class::isInstance).count();
        if (units > MAX_UNITS) {
            throw malformed(HEADER, "%d remapping units (DRHD); more than %d are not believed", units, MAX_UNITS);
        }
        if (units == 0) {
            throw malformed(HEADER, "no remapping unit (DRHD): this machine has no IOMMU");
        }
        return new DmarTable(text(10, 6), text(16, 8), addressWidth, u8(37), structures);
    }

    private void header() {
        int size = bytes.capacity();
        if (size < HEADER) {
            throw malformed(size, "ends after 0x%x bytes, the header has 0x%x", size, HEADER);
        }
        if (size > MAX_LENGTH) {
            throw malformed(4, "0x%x bytes; more than 0x%x are not believed", size, MAX_LENGTH);
        }
        if (!text(0, 4).equals("DMAR")) {
            throw malformed(0, "signature is not DMAR");
        }
        if (bytes.getInt(4) != size) {
            throw malformed(4, "length field says 0x%x, there are 0x%x bytes", bytes.getInt(4), size);
        }
        int sum = 0;
        for (int i = 0; i < size; i++) {
            sum += bytes.get(i);
        }
        if ((sum & 0xff) != 0) {
            throw malformed(9, "checksum: the bytes add up to 0x%x instead of 0", sum & 0xff);
        }
        addressWidth = u8(ACPI_HEADER) + 1;
        if (addressWidth < 32 || addressWidth > 64) {
            throw malformed(ACPI_HEADER, "host address width of %d bits (0x%x); 32..64 make sense", addressWidth, addressWidth);
        }
    }

    private Structure structure(int at, int type, int length) {
        return switch (type) {
            case 0 -> drhd(at, length);
            case 1 -> rmrr(at, length);
            case 2 -> {
                need(at, "ATSR", length, 8);
                yield new Atsr(at, (u8(at + 4) & 1) != 0, u16(at + 6), scopes(at + 8, at + length));
            }
            case 3 -> {
                need(at, "RHSA", length, 20);
                yield new Rhsa(at, address(at + 8, "base"), bytes.getInt(at + 16));
            }
            case 4 -> andd(at, length);
            case 5 -> {
                need(at, "SATC", length, 8);
                yield new Satc(at, (u8(at + 4) & 1) != 0, u16(at + 6), scopes(at + 8, at + length));
            }
            default -> new Unknown(at, type, length);
        };
    }

    private Drhd drhd(int at, int length) {
        need(at, "DRHD", length, 16);
        boolean all = (u8(at + 4) & INCLUDE_PCI_ALL) != 0;
        int segment = u16(at + 6);
        if (closedSegments.contains(segment)) {
            throw malformed(at, "DRHD of segment 0x%x after the one with INCLUDE_PCI_ALL, which must be its last and only", segment);
        }
        if (all) {
            closedSegments.add(segment);
        }
        // 2^n pages; 0 in tables older than the field.
        long size = 0x1000L << (u8(at + 5) & 0xf);
        long base = address(at + 8, "base");
        if (base == 0 || (base & size - 1) != 0) {
            throw malformed(at + 8, "DRHD base 0x%x is not a multiple of its size 0x%x", base, size);
        }
        if (base + size - 1 >>> Math.min(addressWidth, 52) != 0) {
            throw malformed(at + 8, "DRHD base 0x%x+0x%x is beyond %d bits", base, size, addressWidth);
        }
        return new Drhd(at, all, segment, base, size, scopes(at + 16, at + length));
    }

    private Rmrr rmrr(int at, int length) {
        need(at, "RMRR", length, 24);
        long base = address(at + 8, "base");
        long limit = address(at + 16, "limit");
        if ((base & 0xfff) != 0 || (limit & 0xfff) != 0xfff || base > limit) {
            throw malformed(at + 8, "RMRR 0x%x..0x%x is not whole 4 KiB pages", base, limit);
        }
        return new Rmrr(at, u16(at + 6), base, limit, scopes(at + 24, at + length));
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

    private List<DeviceScope> scopes(int at, int end) {
        List<DeviceScope> scopes = new ArrayList<>();
        while (at < end) {
            int length = end - at < SCOPE_HEADER ? end - at : u8(at + 1);
            if (length < SCOPE_HEADER || length > end - at) {
                throw malformed(at, "device scope of 0x%x bytes where 0x%x are left", length, end - at);
            }
            int type = u8(at);
            if (type >= 1 && type <= ScopeType.values().length) {
                scopes.add(scope(at, ScopeType.values()[type - 1], length));
            }
            at += length;
        }
        return List.copyOf(scopes);
    }

    private DeviceScope scope(int at, ScopeType type, int length) {
        if (length == SCOPE_HEADER || length % 2 != 0) {
            throw malformed(at, "device scope of 0x%x bytes; it is 6 and 2 for each hop of at least one", length);
        }
        List<Integer> path = new ArrayList<>();
        for (int hop = at + SCOPE_HEADER; hop < at + length; hop += 2) {
            int device = u8(hop);
            int function = u8(hop + 1);
            if (device > 31 || function > 7) {
                throw malformed(hop, "PCI device 0x%x function 0x%x", device, function);
            }
            path.add(device << 3 | function);
        }
        return new DeviceScope(at, type, u8(at + 4), u8(at + 5), path);
    }

    private void need(int at, String name, int length, int least) {
        if (length < least) {
            throw malformed(at, "%s of 0x%x bytes; it has at least 0x%x", name, length, least);
        }
    }

    private long address(int at, String what) {
        long address = bytes.getLong(at);
        // RAM and register windows end at 2^52, as x86's physical addresses do.
        if (address >>> Math.min(addressWidth, 52) != 0) {
            throw malformed(at, "%s 0x%x is beyond the host address width of %d bits", what, address, addressWidth);
        }
        return address;
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
