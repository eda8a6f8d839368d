// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.MsiBank;
import irq.api.MsiDoorbells;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The MSI banks of an MPIC. Vectors are taken as Linux takes them: the lowest free one of the first bank that has one.
 * A bank does not know who rings it, so isolation is per bank, not per vector. Any thread. (MPIC sections 5 to 7.)
 */
public final class MpicDoorbells implements MsiDoorbells {
    private final MpicBank[] banks;
    private final List<MsiBank> descriptions;
    private final MpicCore core;
    private final List<Runnable> freeListeners = new CopyOnWriteArrayList<>();

    MpicDoorbells(List<MpicBank> banks, MpicCore core) {
        this.banks = banks.toArray(MpicBank[]::new);
        this.core = core;
        descriptions = banks.stream().map(MpicBank::description).toList();
        banks.forEach(bank -> bank.onFree(this::freed));
    }

    @Override
    public List<MsiBank> banks() {
        return descriptions;
    }

    /** {@return false: a bank does not know who rings} */
    @Override
    public boolean verifiesSource() {
        return false;
    }

    /** @throws ErrnoException EINVAL for a bank that does not exist */
    @Override
    public int free(int bank) {
        return bank(bank).free();
    }

    /** @throws ErrnoException as promised by {@link MsiDoorbells}; ENODEV after the driver was closed */
    @Override
    public MsiVector allocate(MsiRequest request) {
        if (!core.isOpen()) {
            throw new ErrnoException(Errno.ENODEV,
                "the driver of this MPIC has been stopped; use the service that is there now");
        }
        request.banks().forEach(this::bank);
        for (int index : request.banks()) {
            int number = banks[index].take(request.handler());
            if (number >= 0) {
                return new MsiVector(index, number);
            }
        }
        throw new ErrnoException(Errno.ENOSPC,
            "no free vector in banks %s for requester 0x%x; release some or allow more banks", request.banks(),
            request.requester());
    }

    @Override
    public void release(MsiVector vector) {
        allocated(vector).release(vector);
    }

    @Override
    public Attachment onFree(Runnable listener) {
        Runnable mine = listener::run;
        freeListeners.add(mine);
        return () -> freeListeners.remove(mine);
    }

    /** Inside the core's handler. */
    private void freed() {
        for (Runnable listener : freeListeners) {
            try {
                listener.run();
            } catch (Throwable e) {
                core.failed("a listener of free vectors", e);
            }
        }
    }

    @Override
    public MsiMessage compose(MsiVector vector) {
        return allocated(vector).compose(vector);
    }

    private MpicBank bank(int index) {
        if (index < 0 || index >= banks.length) {
            throw new ErrnoException(Errno.EINVAL, "there is no MSI bank %d; there are %d", index, banks.length);
        }
        return banks[index];
    }

    private MpicBank allocated(MsiVector vector) {
        if (vector.bank() < 0 || vector.bank() >= banks.length) {
            throw new ErrnoException(Errno.ENOENT, "vector 0x%x of bank %d is not allocated: there are %d banks",
                vector.number(), vector.bank(), banks.length);
        }
        return banks[vector.bank()];
    }
}
