// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import iommu.pamu.table.BigEndian;
import iommu.pamu.table.Registers;
import machine.api.Mmio;

/**
 * The registers of one PAMU as the cores see them. Before it {@link machine.api.Bus#write}. Concurrency: one short
 * monitor around the register file, never held while anything is called that could wait for a device; violations and
 * PICS are lock-free beside it.
 *
 * <p>Words only: a shorter or misaligned write changes nothing, a write of 8 bytes is two words. ECC and operation
 * errors do not happen in this model, so their status reads as zero and clearing it does nothing.
 */
final class RegisterBlock implements Mmio {
    private final Pamu pamu;
    private final Violations violations;
    private final int[] file = new int[Registers.BYTES / 4];

    RegisterBlock(Pamu pamu, Violations violations, PamuModel model) {
        this.pamu = pamu;
        this.violations = violations;
        file[Registers.PR1 / 4] = model.version();
        file[Registers.PC2 / 4] = model.maxLiodn() << 16;
        file[Registers.PC3 / 4] = Registers.capabilities3(model.maxWindows());
    }

    @Override
    public long read(long offset, int size) {
        if (size == 8) {
            return read(offset, 4) | read(offset + 4, 4) << 32;
        }
        return Lanes.read(BigEndian.swap(word((int) offset & ~3)), offset, size);
    }

    @Override
    public void write(int requester, long offset, int size, long value) {
        if (size >= 4 && (offset & 3) == 0) {
            word((int) offset, BigEndian.swap(value));
            if (size == 8) {
                word((int) offset + 4, BigEndian.swap(value >>> 32));
            }
        }
    }

    private int word(int offset) {
        return switch (offset) {
            case Registers.AVS1 -> violations.avs1();
            case Registers.AVS2 -> violations.avs2();
            case Registers.AVA -> (int) (violations.ava() >>> 32);
            case Registers.AVA + 4 -> (int) violations.ava();
            case Registers.POEA -> (int) (violations.poea() >>> 32);
            case Registers.POEA + 4 -> (int) violations.poea();
            case Registers.PICS -> violations.pics();
            default -> stored(offset);
        };
    }

    private void word(int offset, int value) {
        switch (offset) {
            case Registers.AVS1 -> violations.clearAvs1(value);
            case Registers.PICS -> violations.writePics(value);
            case Registers.PC, Registers.EECTL, Registers.EEDIS, Registers.EEINTEN, Registers.PFA1, Registers.PFA2 ->
                store(offset, value);
            default -> {
                if (offset < Registers.OLA + 8 || offset >= Registers.PD1 && offset <= Registers.PD4) {
                    store(offset, value);
                }
            }
        }
    }

    private synchronized int stored(int offset) {
        return file[offset / 4];
    }

    private synchronized void store(int offset, int value) {
        file[offset / 4] = value;
        if (offset == Registers.PC || offset < Registers.OLA + 8) {
            pamu.use(file[Registers.PC / 4], address(Registers.PPBA), address(Registers.PPLA), address(Registers.SPBA),
                address(Registers.SPLA), address(Registers.OBA), address(Registers.OLA));
        }
    }

    private long address(int offset) {
        return (long) file[offset / 4] << 32 | file[offset / 4 + 1] & 0xffff_ffffL;
    }
}
