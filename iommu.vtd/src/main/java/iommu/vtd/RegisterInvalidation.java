// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Invalidation by the registers CCMD, IVA and IOTLB, for units without a queue. One that was given up and is still
 * under way is waited for first: VT-d forbids a command while there is one (ICC, IVT), and its end would be taken for
 * the next one's.
 */
final class RegisterInvalidation implements Invalidation {
    private final Registers registers;
    private final int iva;
    private final long drain;

    RegisterInvalidation(Registers registers, VtdCapabilities capabilities, boolean drains) {
        this.registers = registers;
        this.iva = capabilities.iotlbOffset();
        this.drain = drains ? (capabilities.drainsReads() ? 1L << 49 : 0) | (capabilities.drainsWrites() ? 1L << 48 : 0)
            : 0;
    }

    @Override
    public void contexts() {
        context((long) VtdRegisters.GLOBAL << 61);
    }

    @Override
    public void context(int domain, int source) {
        context((long) VtdRegisters.DEVICE << 61 | (long) source << 16 | domain);
    }

    @Override
    public void translations() {
        iotlb((long) VtdRegisters.GLOBAL << 60);
    }

    @Override
    public void translations(int domain) {
        iotlb((long) VtdRegisters.DOMAIN << 60 | (long) domain << 32);
    }

    @Override
    public synchronized void translations(int domain, long address, int mask, boolean leaves) {
        idle("IOTLB", iva + 8);
        registers.write8(iva, address | (leaves ? 1 << 6 : 0) | mask);
        iotlb((long) VtdRegisters.PAGE << 60 | (long) domain << 32);
    }

    private synchronized void context(long command) {
        idle("CCMD", VtdRegisters.CCMD);
        registers.write8(VtdRegisters.CCMD, VtdRegisters.START | command);
        idle("CCMD", VtdRegisters.CCMD);
        performed("CCMD", registers.read8(VtdRegisters.CCMD) >>> 59 & 3, command);
    }

    private synchronized void iotlb(long command) {
        idle("IOTLB", iva + 8);
        registers.write8(iva + 8, VtdRegisters.START | drain | command);
        idle("IOTLB", iva + 8);
        performed("IOTLB", registers.read8(iva + 8) >>> 57 & 3, command);
    }

    private void idle(String name, int register) {
        registers.await(name, () -> registers.read8(register) >= 0);
    }

    private static void performed(String register, long granularity, long command) {
        if (granularity == 0) {
            throw new ErrnoException(Errno.EIO, "%s: invalidation 0x%x was not performed", register, command);
        }
    }
}
