// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import iommu.pamu.table.Registers;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import machine.api.PolledLine;

/**
 * The violation record of an instance, and its end of the interrupt wire. PAMU: AVS1, AVS2, AVA, POEA, PICS.
 *
 * <p>The first violation is kept until its AV bit is cleared; every violation sets PICS bit 3. Off the road, on the
 * fault branch: {@code Pamu.translate} is before it, {@link machine.api.Machine#line} after it. Lock-free; any thread.
 */
final class Violations {
    private static final int STATUS = Registers.PICS_VIOLATION | Registers.PICS_OPERATION;
    private static final int ENABLES = Registers.PICS_VIOLATION_ENABLE | Registers.PICS_OPERATION_ENABLE;

    private record Latch(int status, int detail, long address, long entry) {
        boolean taken() {
            return (status & Registers.AVS1_VALID) != 0;
        }
    }

    private final PolledLine wire;
    private final AtomicReference<Latch> latch = new AtomicReference<>(new Latch(0, 0, 0, 0));
    private final AtomicInteger interrupts = new AtomicInteger();

    /** @param wiring gives the end of the wire whose level is asked for */
    Violations(Function<BooleanSupplier, PolledLine> wiring) {
        this.wire = wiring.apply(this::asserted);
    }

    /**
     * @param violation class and code in their AVS1 field
     * @param operation incoming operation encoding, shown in AVS2
     * @param entry physical address of the entry concerned, 0 for none
     */
    void record(int liodn, int violation, int operation, long address, long entry) {
        Latch before = latch.get();
        if (!before.taken()) {
            latch.compareAndSet(before,
                new Latch(liodn << 16 | violation | Registers.AVS1_VALID, operation, address, entry));
        }
        int old = interrupts.getAndAccumulate(Registers.PICS_VIOLATION, (status, bit) -> status | bit);
        if ((old & Registers.PICS_VIOLATION) == 0) {
            wire.update();
        }
    }

    int avs1() {
        return latch.get().status;
    }

    int avs2() {
        return latch.get().detail;
    }

    long ava() {
        return latch.get().address;
    }

    long poea() {
        return latch.get().entry;
    }

    /** W1C; the LIODN and the addresses stay to be read. */
    void clearAvs1(int ones) {
        latch.updateAndGet(
            old -> new Latch(old.status & ~(ones & Registers.AVS1_STATUS), old.detail, old.address, old.entry));
    }

    int pics() {
        return interrupts.get();
    }

    /** Status bits are W1C, enable bits are written. */
    void writePics(int value) {
        interrupts.updateAndGet(old -> old & STATUS & ~value | value & ENABLES);
        wire.update();
    }

    /** The hardware is gone, and drives its wire no more. */
    void powerOff() {
        wire.close();
    }

    private boolean asserted() {
        int pics = interrupts.get();
        return (pics & STATUS & pics << 1) != 0;
    }
}
