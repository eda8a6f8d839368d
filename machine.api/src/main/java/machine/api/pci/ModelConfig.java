// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The config space of a device model: a type 0 header and perhaps an MSI capability, with what the host may change of
 * it. The model asks it what the host has switched on. Not thread-safe: the model guards it.
 */
@ProviderType
public final class ModelConfig {
    /** Its size in bytes. */
    public static final int SIZE = ConfigHeader.SPACE_END;

    private static final int SMALLEST_BAR = 16;

    private final byte[] bytes = new byte[SIZE];
    /** Bit set: the host may change it. */
    private final byte[] writable = new byte[SIZE];
    private final long[] bars = new long[ConfigHeader.NUMBER_OF_BARS];
    /** The function's; null without. */
    private MsiCapability msi;

    private ModelConfig() {
    }

    /** The parts of a config space that is being made. What is not named is zero, and cannot be written. */
    public static final class Builder {
        private final ModelConfig config = new ModelConfig();

        private Builder() {
        }

        /**
         * Names class and revision.
         *
         * @param type base class, subclass and interface, 3 bytes
         */
        public Builder type(int type, int revision) {
            put(config.bytes, ConfigHeader.REVISION, 4, (long) type << 8 | revision & 0xff);
            return this;
        }

        /** Names the subsystem. */
        public Builder subsystem(int vendor, int device) {
            put(config.bytes, ConfigHeader.SUBSYSTEM, 2, vendor);
            put(config.bytes, ConfigHeader.SUBSYSTEM + 2, 2, device);
            return this;
        }

        /**
         * Gives it a BAR of 32-bit memory that is not prefetchable.
         *
         * @param size a power of two from 16 bytes to 2 GiB
         * @throws IllegalArgumentException if it is none, or if there is no such BAR
         */
        public Builder bar(int bar, long size) {
            if (bar < 0 || bar >= ConfigHeader.NUMBER_OF_BARS || size < SMALLEST_BAR || size > 1L << 31
                || Long.bitCount(size) != 1) {
                throw new IllegalArgumentException(String.format(
                    "BAR %d of 0x%x bytes: there are BARs 0..5 of a power of two from 0x10 to 0x80000000", bar, size));
            }
            config.bars[bar] = size;
            put(config.writable, ConfigHeader.BARS + 4 * bar, 4, -size);
            return this;
        }

        /**
         * Gives it an interrupt pin.
         *
         * @param pin 1 to 4, for INTA to INTD
         */
        public Builder pin(int pin) {
            put(config.bytes, ConfigHeader.INTERRUPT_PIN, 1, pin);
            put(config.writable, ConfigHeader.INTERRUPT_LINE, 1, 0xff);
            return this;
        }

        /** Gives it an MSI capability: a 64-bit address, one vector, no masking of vectors. */
        public Builder msi() {
            MsiCapability msi = new MsiCapability(ConfigHeader.END, true, 1);
            config.msi = msi;
            put(config.bytes, ConfigHeader.STATUS, 2, ConfigHeader.HAS_CAPABILITIES);
            put(config.bytes, ConfigHeader.CAPABILITIES, 1, msi.offset());
            put(config.bytes, msi.offset(), 1, ConfigHeader.MSI);
            put(config.bytes, msi.control(), 2, MsiCapability.WIDE);
            put(config.writable, msi.control(), 2, MsiCapability.ENABLE);
            put(config.writable, msi.address(), 4, ~3);
            put(config.writable, msi.address() + 4, 4, -1);
            put(config.writable, msi.data(), 2, 0xffff);
            return this;
        }

        /** {@return it; the builder is of no use any more} */
        public ModelConfig build() {
            return config;
        }
    }

    /** {@return a builder of the config space of a device, which it names, with a command register} */
    public static Builder of(int vendor, int device) {
        Builder builder = new Builder();
        put(builder.config.bytes, ConfigHeader.VENDOR, 2, vendor);
        put(builder.config.bytes, ConfigHeader.VENDOR + 2, 2, device);
        put(builder.config.writable, ConfigHeader.COMMAND, 2, ConfigHeader.ENABLES | ConfigHeader.INTX_DISABLE);
        return builder;
    }

    /** {@return 1, 2 or 4 bytes that lie inside} */
    public long read(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (bytes[offset + i] & 0xffL) << 8 * i;
        }
        return value;
    }

    /** Writes 1, 2 or 4 bytes that lie inside, as the host does: bits that it may not change stay. */
    public void write(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            int mask = writable[offset + i];
            bytes[offset + i] = (byte) (bytes[offset + i] & ~mask | (int) (value >>> 8 * i) & mask);
        }
    }

    /** {@return bytes of a BAR; 0 if there is no such BAR} */
    public long barSize(int bar) {
        return bar < 0 || bar >= bars.length ? 0 : bars[bar];
    }

    /** PCI 2.3: tells software that this function wants an interrupt; not affected by INTx disable. */
    public void interruptStatus(boolean wanted) {
        int status = (int) read(ConfigHeader.STATUS, 2);
        put(bytes, ConfigHeader.STATUS, 2,
            wanted ? status | ConfigHeader.INTERRUPT_STATUS : status & ~ConfigHeader.INTERRUPT_STATUS);
    }

    /** {@return whether it answers in its BARs} */
    public boolean memoryEnabled() {
        return command(ConfigHeader.MEMORY);
    }

    /** {@return whether it may access memory and send messages} */
    public boolean busMaster() {
        return command(ConfigHeader.MASTER);
    }

    /** {@return whether its pin stays low, whatever it wants} */
    public boolean intxDisabled() {
        return command(ConfigHeader.INTX_DISABLE);
    }

    private boolean command(int bit) {
        return (read(ConfigHeader.COMMAND, 2) & bit) != 0;
    }

    /** {@return whether it interrupts by messages and not by its pin} */
    public boolean msiEnabled() {
        return msi != null && (read(msi.control(), 2) & MsiCapability.ENABLE) != 0;
    }

    /** {@return where its message goes, if {@link #msiEnabled}} */
    public long msiAddress() {
        return read(msi.address(), 4) | read(msi.address() + 4, 4) << 32;
    }

    /** {@return the message, if {@link #msiEnabled}: 16 bits of data, above them zeroes (PCI 3.0, 6.8.1.6)} */
    public long msiData() {
        return read(msi.data(), 2);
    }

    /** As after power-up: what the host may change is zero. */
    public void reset() {
        for (int i = 0; i < SIZE; i++) {
            bytes[i] &= (byte) ~writable[i];
        }
        interruptStatus(false);
    }

    private static void put(byte[] to, int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            to[offset + i] = (byte) (value >>> 8 * i);
        }
    }
}
