// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import machine.api.PciFunction;
import org.osgi.annotation.versioning.ProviderType;

/** The registers of a type 0 header, with the bits of the two that are made of bits (PCI 3.0, 6.1 and 6.2). */
@ProviderType
public final class ConfigHeader {
    /** Vendor; the device is behind it. */
    public static final int VENDOR = 0x00;
    /** What the function may do: 2 bytes of the bits below. */
    public static final int COMMAND = 0x04;
    /** What it says of itself: 2 bytes. */
    public static final int STATUS = 0x06;
    /** Revision, and above it 3 bytes of class. */
    public static final int REVISION = 0x08;
    /** The first of 6 BARs, 4 bytes each. */
    public static final int BARS = 0x10;
    /** The number of BARs. */
    public static final int NUMBER_OF_BARS = 6;
    /** The end of the BARs, exclusive. */
    public static final int BARS_END = BARS + 4 * NUMBER_OF_BARS;
    /** Vendor of the subsystem; its number is behind it. */
    public static final int SUBSYSTEM = 0x2c;
    /** BAR of the expansion ROM. */
    public static final int ROM = 0x30;
    /** Where the first capability is. */
    public static final int CAPABILITIES = 0x34;
    /** The line of the interrupt, software's own; 1 byte. */
    public static final int INTERRUPT_LINE = 0x3c;
    /** The pin of the interrupt: 1 to 4 for A to D, 0 for none; 1 byte. */
    public static final int INTERRUPT_PIN = 0x3d;
    /** The end of the header. Capabilities begin here at the earliest. */
    public static final int END = 0x40;
    /** The end of the conventional config space, in which the conventional capabilities are. */
    public static final int SPACE_END = 0x100;

    /** Of {@link #COMMAND}: it answers in its memory BARs. */
    public static final int MEMORY = 0x0002;
    /** Of {@link #COMMAND}: it may access memory, and send messages. */
    public static final int MASTER = 0x0004;
    /** Of {@link #COMMAND}: it does not assert its pin. */
    public static final int INTX_DISABLE = 0x0400;
    /** Of {@link #COMMAND}: I/O, memory, master, parity, SERR. A function has these, and {@link #INTX_DISABLE}. */
    public static final int ENABLES = 0x0147;
    /** Of {@link #STATUS}: it wants an interrupt by its pin, which {@link #INTX_DISABLE} may hide. */
    public static final int INTERRUPT_STATUS = 0x0008;
    /** Of {@link #STATUS}: it has capabilities. */
    public static final int HAS_CAPABILITIES = 0x0010;

    /** Id of the capability {@link MsiCapability}. */
    public static final int MSI = 0x05;
    /** Id of the capability of PCI Express. */
    public static final int EXPRESS = 0x10;

    private ConfigHeader() {
    }

    /**
     * {@return where a conventional capability of the function is; 0 if it does not have it} A function whose chain of
     * capabilities has no end, or leads into the header, has none behind that.
     *
     * @param id {@link #MSI} or another
     */
    public static int find(PciFunction function, int id) {
        if ((function.readConfig(STATUS, 2) & HAS_CAPABILITIES) == 0) {
            return 0;
        }
        int at = (int) function.readConfig(CAPABILITIES, 1) & 0xfc;
        for (int hops = 0; at >= END && hops < (SPACE_END - END) / 4; hops++) {
            int header = (int) function.readConfig(at, 2);
            if ((header & 0xff) == id) {
                return at;
            }
            at = header >>> 8 & 0xfc;
        }
        return 0;
    }
}
