// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import java.util.Optional;
import machine.api.PciFunction;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The MSI capability of a function: where its registers are, for who programs it (PCI 3.0, 6.8.1). Its layout is
 *
 * <pre>
 *  00  control, next, id
 *  04  address, low
 *  08  address, high     if it is wide; else data
 *  0c  data, 16 bits     if it is wide
 * </pre>
 *
 * @param offset of its first byte in config space
 * @param wide whether the message's address has 64 bits
 * @param vectors how many vectors the function is capable of: a power of two, at most 32
 */
@ProviderType
public record MsiCapability(int offset, boolean wide, int vectors) {
    /** Of {@link #control}: the function interrupts by messages and not by its pin. */
    public static final int ENABLE = 0x0001;
    /** Of {@link #control}: the binary logarithm of {@link #vectors}; it says 3 and below. */
    public static final int CAPABLE = 0x000e;
    /** Of {@link #control}: the binary logarithm of how many vectors software has enabled. */
    public static final int ENABLED = 0x0070;
    /** Of {@link #control}: {@link #wide}. */
    public static final int WIDE = 0x0080;

    /**
     * {@return the function's; empty if it has none} One that sticks out of the conventional config space is none: the
     * function is mad.
     */
    public static Optional<MsiCapability> of(PciFunction function) {
        int at = ConfigHeader.find(function, ConfigHeader.MSI);
        if (at == 0) {
            return Optional.empty();
        }
        int control = (int) function.readConfig(at + 2, 2);
        MsiCapability found = new MsiCapability(at, (control & WIDE) != 0, 1 << ((control & CAPABLE) >>> 1));
        return found.end() <= ConfigHeader.SPACE_END ? Optional.of(found) : Optional.empty();
    }

    /** {@return where the message control is; 2 bytes} */
    public int control() {
        return offset + 2;
    }

    /** {@return where the lower half of the address is; 4 bytes} */
    public int address() {
        return offset + 4;
    }

    /** {@return where the data is; 2 bytes} */
    public int data() {
        return offset + (wide ? 12 : 8);
    }

    /** {@return the end of the data's double word, exclusive} */
    public int end() {
        return data() + 4;
    }

    /**
     * Writes the one message that the function is to send, or, while it is off, would send: the address first, the
     * control last.
     *
     * @param on whether the function interrupts by messages
     * @param address of a capability that is not {@link #wide} the lower half counts
     */
    public void program(PciFunction function, boolean on, long address, int data) {
        int control = (int) function.readConfig(control(), 2) & ~(ENABLE | ENABLED);
        function.writeConfig(address(), 4, address & 0xffff_ffffL);
        if (wide) {
            function.writeConfig(address() + 4, 4, address >>> 32);
        }
        function.writeConfig(data(), 2, data & 0xffff);
        function.writeConfig(control(), 2, control | (on ? ENABLE : 0));
    }
}
