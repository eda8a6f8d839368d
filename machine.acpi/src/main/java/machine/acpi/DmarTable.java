// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.List;
import java.util.stream.Stream;

/**
 * A DMAR table as it stands. Addresses are physical; offsets are from the table's first byte, for messages.
 *
 * @param oemId six characters, without trailing blanks
 * @param oemTableId eight characters, without trailing blanks
 * @param addressWidth host address width in bits
 * @param flags {@link #INTERRUPT_REMAPPING} and others
 * @param structures the remapping structures in order, without those that were left out
 * @param warnings what was gone on with although it is wrong; one line each, with its offset
 */
record DmarTable(String oemId, String oemTableId, int addressWidth, int flags, List<Structure> structures,
    List<String> warnings) {
    /** In flags: the platform supports interrupt remapping. */
    static final int INTERRUPT_REMAPPING = 1;

    DmarTable {
        structures = List.copyOf(structures);
        warnings = List.copyOf(warnings);
    }

    <S extends Structure> Stream<S> all(Class<S> type) {
        return structures.stream().filter(type::isInstance).map(type::cast);
    }

    /** The types of entries in a structure's scope. */
    enum ScopeType {
        /** One PCI function. */
        ENDPOINT,
        /** A PCI bridge and everything below it. */
        BRIDGE,
        /** An IOAPIC; its enumeration id is its APIC id. */
        IOAPIC,
        /** An HPET; its enumeration id is its number. */
        HPET,
        /** A device of the ACPI namespace; its enumeration id is the device number of its ANDD. */
        NAMESPACE
    }

    /**
     * A device as the table names it.
     *
     * @param startBus where the path starts
     * @param path device {@literal <<} 3 | function of each hop: bridges, and the last is the device itself
     */
    record DeviceScope(int offset, ScopeType type, int enumerationId, int startBus, List<Integer> path) {
        DeviceScope {
            path = List.copyOf(path);
        }
    }

    /** A remapping structure. */
    sealed interface Structure permits Drhd, Rmrr, Atsr, Rhsa, Andd, Satc, Unknown {
        int offset();
    }

    /** A structure that speaks about devices of one PCI segment. */
    interface Scoped {
        int offset();

        int segment();

        List<DeviceScope> scopes();
    }

    /** A remapping unit with its registers. */
    record Drhd(int offset, boolean includePciAll, int segment, long base, long size, List<DeviceScope> scopes)
        implements Structure, Scoped {
    }

    /** Memory that devices use before, or without, an operating system; limit is inclusive. */
    record Rmrr(int offset, int segment, long base, long limit, List<DeviceScope> scopes) implements Structure, Scoped {
    }

    /** Root ports that support address translation services. */
    record Atsr(int offset, boolean allPorts, int segment, List<DeviceScope> scopes) implements Structure, Scoped {
    }

    /** The proximity domain of a unit. */
    record Rhsa(int offset, long base, int proximity) implements Structure {
    }

    /** The name of a device of the ACPI namespace. */
    record Andd(int offset, int device, String name) implements Structure {
    }

    /** Integrated devices with an address translation cache. */
    record Satc(int offset, boolean required, int segment, List<DeviceScope> scopes) implements Structure, Scoped {
    }

    /** A type that came after this was written: kept, not used; ACPI asks to skip such structures by their length. */
    record Unknown(int offset, int type, int length) implements Structure {
    }
}
