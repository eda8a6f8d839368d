// SPDX-License-Identifier: Apache-2.0
package device.edu;

/**
 * The configuration space of the device: a type 0 header and one MSI capability. Rules: PCI Local Bus 3.0, 6.1, 6.2 and
 * 6.8.1; identity as in QEMU.
 * <pre>
 *  00  11e8 1234     device, vendor
 *  04  status, command
 *  08  00ff00 10     class "others", revision
 *  10  BAR0          1 MiB of 32-bit memory, not prefetchable
 *  2c  1100 1af4     subsystem, as QEMU gives it to every device without one of its own
 *  34  40            capabilities
 *  3c  pin 1 (INTA), line
 *  40  0080 00 05    MSI: 64-bit address, one vector, no per-vector masking
 *  44  address, low
 *  48  address, high
 *  4c  data, 16 bits
 * </pre>
 *
 * <p>Not thread-safe: {@link Edu} guards it.
 */
final class ConfigSpace {
    static final int SIZE = 256;
    static final int BAR0_SIZE = 1 << 20;

    private static final int COMMAND = 0x04;
    private static final int MEMORY = 1 << 1;
    private static final int MASTER = 1 << 2;
    private static final int INTX_DISABLE = 1 << 10;
    /** I/O, memory, bus master, parity error response, SERR, INTx disable. */
    private static final int COMMAND_WRITABLE = 0x0547;
    private static final int STATUS = 0x06;
    private static final int INTERRUPT_STATUS = 1 << 3;
    private static final int CAPABILITIES = 1 << 4;
    private static final int BAR0 = 0x10;
    private static final int INTERRUPT_LINE = 0x3c;
    private static final int MSI = 0x40;
    private static final int MSI_CONTROL = MSI + 2;
    private static final int MSI_ENABLE = 1;
    private static final int MSI_64_BIT = 1 << 7;
    private static final int MSI_ADDRESS = MSI + 4;
    private static final int MSI_DATA = MSI + 12;

    private final byte[] bytes = new byte[SIZE];
    /** Bit set: the host may change it. */
    private final byte[] writable = new byte[SIZE];

    ConfigSpace() {
        put(bytes, 0x00, 2, 0x1234);
        put(bytes, 0x02, 2, 0x11e8);
        put(bytes, STATUS, 2, CAPABILITIES);
        put(bytes, 0x08, 4, 0x00ff_0010);
        put(bytes, 0x2c, 4, 0x1100_1af4);
        put(bytes, 0x34, 1, MSI);
        put(bytes, 0x3d, 1, 1);
        put(bytes, MSI, 1, 0x05);
        put(bytes, MSI_CONTROL, 2, MSI_64_BIT);

        put(writable, COMMAND, 2, COMMAND_WRITABLE);
        put(writable, BAR0, 4, -BAR0_SIZE);
        put(writable, INTERRUPT_LINE, 1, 0xff);
        put(writable, MSI_CONTROL, 2, MSI_ENABLE);
        put(writable, MSI_ADDRESS, 4, ~3);
        put(writable, MSI_ADDRESS + 4, 4, -1);
        put(writable, MSI_DATA, 2, 0xffff);
    }

    long read(int offset, int size) {
        return get(offset, size);
    }

    void write(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            int mask = writable[offset + i];
            bytes[offset + i] = (byte) (bytes[offset + i] & ~mask | (int) (value >>> 8 * i) & mask);
        }
    }

    /** PCI 2.3: tells software that this function wants an interrupt; not affected by INTx disable. */
    void interruptStatus(boolean wanted) {
        int status = (int) get(STATUS, 2);
        put(bytes, STATUS, 2, wanted ? status | INTERRUPT_STATUS : status & ~INTERRUPT_STATUS);
    }

    boolean memoryEnabled() {
        return (get(COMMAND, 2) & MEMORY) != 0;
    }

    boolean busMaster() {
        return (get(COMMAND, 2) & MASTER) != 0;
    }

    boolean intxDisabled() {
        return (get(COMMAND, 2) & INTX_DISABLE) != 0;
    }

    boolean msiEnabled() {
        return (get(MSI_CONTROL, 2) & MSI_ENABLE) != 0;
    }

    long msiAddress() {
        return get(MSI_ADDRESS, 4) | get(MSI_ADDRESS + 4, 4) << 32;
    }

    /** {@return the message: 16 bits of data, above them zeroes (PCI 3.0, 6.8.1.6)} */
    long msiData() {
        return get(MSI_DATA, 2);
    }

    /** As after power-up: what the host may change is zero. */
    void reset() {
        for (int i = 0; i < SIZE; i++) {
            bytes[i] &= (byte) ~writable[i];
        }
        interruptStatus(false);
    }

    private long get(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (bytes[offset + i] & 0xffL) << 8 * i;
        }
        return value;
    }

    private static void put(byte[] to, int offset, int size, int value) {
        for (int i = 0; i < size; i++) {
            to[offset + i] = (byte) (value >>> 8 * i);
        }
    }
}
