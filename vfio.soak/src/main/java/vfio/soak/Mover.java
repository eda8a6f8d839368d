// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Moves memory by one device's DMA, within slots of its own, and knows the expected value of every byte. A refused
 * transfer is repeated, since it may have moved a part.
 */
final class Mover {
    private static final int MARGIN = 64;
    private static final long NAP_NANOS = 1_000_000;

    private final Tenant tenant;
    private final EduDriver driver;
    private final Referee referee;
    private final SplittableRandom random;
    private final int[] slots;
    /** The expected content of each slot. */
    private final byte[][] expected;
    private final byte[] found = new byte[EduDriver.BUFFER_SIZE + 2 * MARGIN];
    private final byte[] fresh = new byte[EduDriver.BUFFER_SIZE];
    private long sequence;

    // The transfer that was begun last.
    private int slot;
    private int offset;
    private int length;
    private int before;

    /** @param slots mapped slots that nobody else writes to */
    Mover(Tenant tenant, EduDriver driver, Referee referee, SplittableRandom random, int[] slots) {
        this.tenant = tenant;
        this.driver = driver;
        this.referee = referee;
        this.random = random;
        this.slots = slots;
        this.expected = new byte[slots.length][tenant.layout().span()];
        for (int i = 0; i < slots.length; i++) {
            random.nextBytes(expected[i]);
            tenant.arena().write(tenant.offset(slots[i]), expected[i], 0, expected[i].length);
        }
    }

    /** One random copy, compared. */
    void copy() {
        fetch();
        store(false);
        complete();
        verify();
    }

    /** Has the device write again what it was not let write. */
    void complete() {
        for (long begin = System.nanoTime(); refused(); retry(begin)) {
            write(false);
        }
    }

    /** Writes something new, with a number of its own, where the device reads, and has it read that. */
    void fetch() {
        int from = random.nextInt(slots.length);
        length = 8 + random.nextInt(EduDriver.BUFFER_SIZE - 7);
        int start = random.nextInt(tenant.layout().span() - length);
        random.nextBytes(fresh);
        sequence++;
        for (int i = 0; i < 8; i++) {
            fresh[i] = (byte) (sequence >>> 8 * i);
        }
        System.arraycopy(fresh, 0, expected[from], start, length);
        tenant.arena().write(tenant.offset(slots[from]) + start, fresh, 0, length);
        slot = from;
        for (long begin = System.nanoTime(); ; retry(begin)) {
            before = tenant.refusals(slots[slot]);
            driver.fetch(tenant.layout().iova(slots[from]) + start, length);
            if (!refused()) {
                return;
            }
        }
    }

    /** Has the device write it somewhere, perhaps with an interrupt when it is done. */
    void store(boolean signal) {
        slot = random.nextInt(slots.length);
        offset = random.nextInt(tenant.layout().span() - length);
        write(signal);
    }

    private void write(boolean signal) {
        System.arraycopy(fresh, 0, expected[slot], offset, length);
        before = tenant.refusals(slots[slot]);
        long iova = tenant.layout().iova(slots[slot]) + offset;
        if (signal) {
            driver.storeAndSignal(iova, length);
        } else {
            driver.store(iova, length);
        }
    }

    /** Whether some of the last transfer was refused. */
    private boolean refused() {
        return tenant.refusals(slots[slot]) != before;
    }

    /** Before something is done again: a device that is blocked is not to spend its time in being refused. */
    private void retry(long begin) {
        if (System.nanoTime() - begin > TimeUnit.SECONDS.toNanos(Referee.PATIENCE_SECONDS)) {
            throw new ErrnoException(Errno.ETIMEDOUT,
                "container %s: transfers to slot %d are refused for more than %d s; it is %s: %s",
                tenant.container().name(), slots[slot], Referee.PATIENCE_SECONDS, tenant.container().state(),
                tenant.container().reason());
        }
        LockSupport.parkNanos(NAP_NANOS);
    }

    /** The device has written: every byte of it must be there, and no other around it have changed. */
    void verify() {
        int start = Math.max(0, offset - MARGIN);
        int end = Math.min(tenant.layout().span(), offset + length + MARGIN);
        tenant.arena().read(tenant.offset(slots[slot]) + start, found, 0, end - start);
        int wrong = Bytes.different(expected[slot], offset, found, offset - start, length);
        int stray = Bytes.different(expected[slot], start, found, 0, end - start) - wrong;
        referee.bytesVerified.add(length);
        if (wrong + stray > 0) {
            referee.mismatches.add(wrong);
            referee.strayWrites.add(stray);
            referee.fail("container %s: transfer %d of %d bytes to iova 0x%x: %d wrong, and %d around them",
                tenant.container().name(), sequence, length, tenant.layout().iova(slots[slot]) + offset, wrong, stray);
        }
    }

    /** At the end: every byte of every slot. */
    void verifyAll() {
        byte[] all = new byte[tenant.layout().span()];
        for (int i = 0; i < slots.length; i++) {
            tenant.arena().read(tenant.offset(slots[i]), all, 0, all.length);
            int wrong = Bytes.different(expected[i], 0, all, 0, all.length);
            referee.bytesVerified.add(all.length);
            if (wrong > 0) {
                referee.mismatches.add(wrong);
                referee.fail("container %s: at the end %d bytes of slot %d are wrong", tenant.container().name(), wrong,
                    slots[i]);
            }
        }
    }
}
