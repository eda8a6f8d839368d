// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import machine.api.PciFunction;

/** A test's hands at an edu's registers, without a container between. */
final class Edu {
    /** The most that QEMU 7.2's edu can move: one byte more and it aborts. */
    static final int MOST = 4095;
    private static final long BUFFER = 0x40000;

    private final PciFunction function;

    /** Memory decoding and bus mastering on. */
    Edu(PciFunction function) {
        this.function = function;
        function.writeConfig(4, 2, 6);
    }

    /** The device reads memory into its buffer. */
    void fetch(long iova, int bytes) {
        transfer(iova, BUFFER, bytes, 1);
    }

    /** The device writes its buffer to memory. */
    void store(long iova, int bytes) {
        transfer(BUFFER, iova, bytes, 3);
    }

    void raise(int status) {
        function.writeBar(0, 0x60, 4, status);
        function.writeBar(0, 0x64, 4, status);
    }

    void message(long address, int data) {
        int msi = (int) function.readConfig(0x34, 1);
        while ((function.readConfig(msi, 1) & 0xff) != 5) {
            msi = (int) function.readConfig(msi + 1, 1);
        }
        function.writeConfig(msi + 4, 4, address & 0xffff_ffffL);
        function.writeConfig(msi + 8, 4, address >>> 32);
        function.writeConfig(msi + 12, 2, data);
        function.writeConfig(msi + 2, 2, function.readConfig(msi + 2, 2) | 1);
    }

    private void transfer(long from, long to, int bytes, int command) {
        function.writeBar(0, 0x80, 8, from);
        function.writeBar(0, 0x88, 8, to);
        function.writeBar(0, 0x90, 8, bytes);
        function.writeBar(0, 0x98, 8, command);
        long until = System.nanoTime() + 10_000_000_000L;
        while ((function.readBar(0, 0x98, 8) & 1) != 0) {
            if (System.nanoTime() > until) {
                throw new AssertionError("the transfer does not end");
            }
        }
    }
}
