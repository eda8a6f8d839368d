// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import static machine.acpi.Table.BRIDGE;
import static machine.acpi.Table.ENDPOINT;
import static machine.acpi.Table.HPET;
import static machine.acpi.Table.IOAPIC;
import static machine.acpi.Table.scope;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The example table {@code launcher/boards/q35.dmar}, explained there in {@code q35.dmar.md}. To write it anew, run the
 * tests with {@code -Dgantry.write=true}.
 */
final class Q35Table {
    static final Path FILE = Path.of("..", "launcher", "boards", "q35.dmar");

    private Q35Table() {
    }

    static byte[] bytes() {
        return new Table()
            .drhd(0, 0, 0xfed91000L, scope(ENDPOINT, 0, 0, "02.0"), scope(BRIDGE, 0, 0, "1c.0"))
            .drhd(1, 0, 0xfed90000L, scope(IOAPIC, 0, 0xff, "00.0"), scope(HPET, 0, 0xf0, "0f.0"))
            .rmrr(0, 0x7f800000L, 0x7f81ffffL, scope(ENDPOINT, 0, 0, "1d.0"))
            .bytes();
    }

    static void write() throws IOException {
        Files.write(FILE, bytes());
    }
}
