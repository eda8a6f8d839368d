// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Optional;
import machine.api.DmaPort;
import machine.api.PciFunction;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;

/** A PCI function: MSI capability at 0x40 (64-bit, {@code 1 << mmc} vectors), interrupt pin A, BAR 0 of 4 KiB. */
final class FakeFunction implements PciFunction {
    static final int MSI = 0x40;

    final byte[] config = new byte[256];
    int mmc;
    boolean gone;
    volatile int resets;
    /** Runs inside a reset. */
    volatile Runnable inReset = () -> {
    };
    /** Runs before a write to configuration space takes effect, and is told of it. */
    ConfigHook beforeWrite = (offset, value) -> {
    };
    private final String name;
    private final Requester requester;
    private final Wire wire;
    private final DmaPort port;
    private final long[] bar = new long[512];
    private volatile FakeController pin;
    private boolean interrupting;

    FakeFunction(String name, Requester requester, Wire wire, DmaPort port) {
        this.name = name;
        this.requester = requester;
        this.wire = wire;
        this.port = port;
        powerUp();
    }

    /** Told of a write. */
    interface ConfigHook {
        void write(int offset, long value);
    }

    void wireTo(FakeController controller) {
        pin = controller;
        drive();
    }

    int register(int offset, int size) {
        int value = 0;
        for (int i = 0; i < size; i++) {
            value |= (config[offset + i] & 0xff) << 8 * i;
        }
        return value;
    }

    void set(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            config[offset + i] = (byte) (value >>> 8 * i);
        }
    }

    boolean msiEnabled() {
        return (register(MSI + 2, 2) & 1) != 0;
    }

    long msiAddress() {
        return register(MSI + 4, 4) & 0xffffffffL | (long) register(MSI + 8, 4) << 32;
    }

    /** The device wants attention: by message if enabled, else by its pin. */
    int raise() {
        if (msiEnabled()) {
            return port.write(msiAddress(), 4, register(MSI + 12, 2));
        }
        assertPin(true);
        return 0;
    }

    void assertPin(boolean level) {
        interrupting = level;
        drive();
    }

    private void drive() {
        set(0x06, 2, interrupting ? 0x18 : 0x10);
        if (pin != null) {
            pin.line(wire.input(), interrupting && (register(0x04, 2) & 0x400) == 0);
        }
    }

    private void powerUp() {
        Arrays.fill(config, (byte) 0);
        set(0x00, 4, 0x11e81234);
        set(0x06, 2, 0x10);
        set(0x34, 1, MSI);
        set(0x3d, 1, 1);
        set(MSI, 2, 0x0005);
        set(MSI + 2, 2, 0x0080 | mmc << 1);
        interrupting = false;
    }

    private void alive() {
        if (gone) {
            throw new IllegalStateException("device " + name + " does not answer");
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public Slot slot() {
        throw new UnsupportedOperationException();
    }

    @Override
    public Requester requester() {
        return requester;
    }

    @Override
    public Optional<Wire> interrupt() {
        return Optional.ofNullable(wire);
    }

    @Override
    public int configSize() {
        return config.length;
    }

    @Override
    public long readConfig(int offset, int size) {
        alive();
        return register(offset, size) & (1L << 8 * size) - 1;
    }

    @Override
    public void writeConfig(int offset, int size, long value) {
        alive();
        beforeWrite.write(offset, value);
        set(offset, size, value);
        if (offset == 0x04) {
            drive();
        }
    }

    @Override
    public long barSize(int index) {
        return index == 0 ? 0x1000 : 0;
    }

    @Override
    public long readBar(int index, long offset, int size) {
        alive();
        assertEquals(0, offset & size - 1, "an access to a BAR is aligned");
        long word = bar[(int) offset / 8] >>> 8 * (offset & 7);
        return size == 8 ? word : word & (1L << 8 * size) - 1;
    }

    @Override
    public void writeBar(int index, long offset, int size, long value) {
        alive();
        assertEquals(0, offset & size - 1, "an access to a BAR is aligned");
        assertTrue(size == 8 || value >>> 8 * size == 0, "a value has the size of its access");
        long mask = (size == 8 ? -1L : (1L << 8 * size) - 1) << 8 * (offset & 7);
        bar[(int) offset / 8] = bar[(int) offset / 8] & ~mask | value << 8 * (offset & 7) & mask;
    }

    @Override
    public void reset() {
        alive();
        inReset.run();
        resets++;
        powerUp();
        drive();
    }
}
