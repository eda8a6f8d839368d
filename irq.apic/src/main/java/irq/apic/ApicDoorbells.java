// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptRemapping;
import irq.api.MsiBank;
import irq.api.MsiDoorbells;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.BiConsumer;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The vectors of all cores as one bank: the range 0xFEE00000..0xFEEFFFFF.
 *
 * <p>Number n of the bank is vector 0x30 + n / cores of core n % cores: the lowest free number spreads devices over the
 * cores. 0x20..0x2F are left to the ISA interrupts of an IOAPIC, 0xF0..0xFF to the system and the spurious vector.
 *
 * <p>With interrupt remapping, each vector has a table entry that lets only its requester through and the message names
 * the entry. Without it the message names core and vector, and any device that reaches the range can ring any vector.
 *
 * <p>Thread-safe; the lock guards the table of numbers and is not held while the APIC or the remapping is asked.
 */
public final class ApicDoorbells implements MsiDoorbells {
    /** Lowest vector that is handed out. */
    public static final int FIRST_VECTOR = 0x30;
    /** Highest vector that is handed out. */
    public static final int LAST_VECTOR = 0xef;

    private static final int FREE = -1;
    private static final int UNREMAPPED = -2;
    private static final int CHANGING = -3;

    private final List<ApicCore> cores;
    private final Optional<InterruptRemapping> remapping;
    private final MsiBank bank;
    /** By number: the remapping table's index, or one of the constants above. */
    private final int[] entries;
    private boolean closed;
    private final List<Runnable> freeListeners = new CopyOnWriteArrayList<>();

    ApicDoorbells(long range, List<ApicCore> cores, Optional<InterruptRemapping> remapping) {
        this.cores = cores;
        this.remapping = remapping;
        this.entries = new int[cores.size() * (LAST_VECTOR - FIRST_VECTOR + 1)];
        Arrays.fill(entries, FREE);
        this.bank = new MsiBank(0, range, ApicRegisters.RANGE, entries.length);
        cores.forEach(core -> core.onFree(() -> freed(core)));
    }

    @Override
    public List<MsiBank> banks() {
        return List.of(bank);
    }

    @Override
    public boolean verifiesSource() {
        return remapping.isPresent();
    }

    @Override
    public synchronized int free(int bankIndex) {
        checkBank(bankIndex);
        int free = 0;
        for (int number = 0; number < entries.length; number++) {
            free += available(number) ? 1 : 0;
        }
        return free;
    }

    @Override
    public MsiVector allocate(MsiRequest request) {
        request.banks().forEach(this::checkBank);
        int number = take(request);
        int entry = UNREMAPPED;
        try {
            if (remapping.isPresent()) {
                entry = remapping.get().allocate(request.requester(), vector(number), core(number).id());
            }
        } catch (RuntimeException e) {
            giveBack(number);
            throw e;
        }
        if (!settle(number, entry)) {
            throw closedWhile(number, entry);
        }
        return new MsiVector(bank.index(), number);
    }

    @Override
    public void release(MsiVector vector) {
        int number = vector.number();
        int entry = change(vector);
        try {
            if (entry != UNREMAPPED) {
                remapping.orElseThrow().release(entry);
            }
        } catch (RuntimeException e) {
            settle(number, entry);
            throw e;
        }
        giveBack(number);
    }

    @Override
    public Attachment onFree(Runnable listener) {
        Runnable mine = listener::run;
        freeListeners.add(mine);
        return () -> freeListeners.remove(mine);
    }

    /**
     * Both have to be free: the number here and the vector at its core, which may have to be done with it first. The
     * last one tells.
     */
    private void giveBack(int number) {
        core(number).withdraw(vector(number));
        set(number, FREE);
        freed(core(number));
    }

    /** Perhaps inside the core's handler. */
    private void freed(ApicCore core) {
        for (Runnable listener : freeListeners) {
            try {
                listener.run();
            } catch (Throwable e) {
                core.failed("a listener of free vectors of core " + core.id() + " failed", e);
            }
        }
    }

    @Override
    public MsiMessage compose(MsiVector vector) {
        int entry = entry(vector);
        if (entry == UNREMAPPED) {
            return new MsiMessage(bank.index(), core(vector.number()).id() << ApicRegisters.DESTINATION_SHIFT,
                vector(vector.number()));
        }
        MsiMessage remapped = remapping.orElseThrow().compose(entry);
        return new MsiMessage(bank.index(), remapped.offset(), remapped.data());
    }

    /** Gives back every table entry. The cores do not run handlers any more. */
    void close(BiConsumer<String, Throwable> report) {
        int[] left;
        synchronized (this) {
            closed = true;
            left = entries.clone();
            Arrays.fill(entries, FREE);
        }
        for (int entry : left) {
            if (entry >= 0) {
                try {
                    remapping.orElseThrow().release(entry);
                } catch (RuntimeException e) {
                    report.accept("interrupt remapping entry 0x" + Integer.toHexString(entry) + " is left behind", e);
                }
            }
        }
    }

    private synchronized int take(MsiRequest request) {
        checkOpen();
        for (int number = 0; number < entries.length && !request.banks().isEmpty(); number++) {
            if (entries[number] == FREE && core(number).claim(vector(number), request.handler())) {
                entries[number] = CHANGING;
                return number;
            }
        }
        throw new ErrnoException(Errno.ENOSPC,
            "requester 0x%x: no free vector in banks %s (%d cores of %d vectors); free some", request.requester(),
            request.banks(), cores.size(), LAST_VECTOR - FIRST_VECTOR + 1);
    }

    private synchronized int change(MsiVector vector) {
        int entry = entry(vector);
        entries[vector.number()] = CHANGING;
        return entry;
    }

    private synchronized int entry(MsiVector vector) {
        int number = vector.number();
        boolean exists = vector.bank() == bank.index() && number >= 0 && number < entries.length;
        if (!exists || entries[number] == FREE || entries[number] == CHANGING) {
            throw new ErrnoException(Errno.ENOENT,
                "vector 0x%x of bank %d is not allocated; it was released, or never taken", number, vector.bank());
        }
        return entries[number];
    }

    /** {@return false if the driver was closed meanwhile} */
    private synchronized boolean settle(int number, int entry) {
        if (!closed) {
            entries[number] = entry;
        }
        return !closed;
    }

    private synchronized void set(int number, int entry) {
        entries[number] = entry;
    }

    private boolean available(int number) {
        return !closed && entries[number] == FREE && core(number).free(vector(number));
    }

    private ErrnoException closedWhile(int number, int entry) {
        if (entry >= 0) {
            remapping.orElseThrow().release(entry);
        }
        return new ErrnoException(Errno.ENODEV,
            "the driver was stopped while vector 0x%x was being allocated; ask its successor", number);
    }

    private void checkOpen() {
        if (closed) {
            throw new ErrnoException(Errno.ENODEV, "the driver of the local APICs was stopped; ask its successor");
        }
    }

    private void checkBank(int index) {
        if (index != bank.index()) {
            throw new ErrnoException(Errno.EINVAL, "bank %d: the local APICs have one bank, 0", index);
        }
    }

    private ApicCore core(int number) {
        return cores.get(number % cores.size());
    }

    private int vector(int number) {
        return FIRST_VECTOR + number / cores.size();
    }
}
