// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.function.IntPredicate;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.VectorPolicy;

/**
 * The choice of the banks of a container's vectors: its policy, and the banks that other containers leave. Thread-safe.
 */
public final class VectorChoice implements SharedBanks.User {
    private final SharedBanks shared;
    private final IntPredicate inUse;
    private final IntPredicate placed;
    /** Banks that are about to be used. Written under the lock of the shared banks. */
    private volatile Set<Integer> reserved = Set.of();
    private volatile VectorPolicy policy = VectorPolicy.FIRST_FIT;
    private int turn;

    /**
     * @param inUse whether there is a vector of a bank
     * @param placed whether a bank is within the reach of devices
     */
    VectorChoice(SharedBanks shared, IntPredicate inUse, IntPredicate placed) {
        this.shared = shared;
        this.inUse = inUse;
        this.placed = placed;
    }

    public VectorPolicy policy() {
        return policy;
    }

    public void policy(VectorPolicy next) {
        shared.change(() -> policy = next);
    }

    @Override
    public boolean isolated() {
        return policy == VectorPolicy.ISOLATED;
    }

    @Override
    public boolean reserving() {
        return !reserved.isEmpty();
    }

    @Override
    public boolean reaches(int bank) {
        return uses(bank) || placed.test(bank);
    }

    /** Whether a vector of that bank is in use here, or about to be. */
    boolean uses(int bank) {
        return reserved.contains(bank) || inUse.test(bank);
    }

    /** Whether isolation keeps a bank from this container. */
    boolean forbidden(int bank) {
        return !shared.shareable() && shared.taken(this, bank);
    }

    /**
     * Reserves banks until {@link #settle}, in the order in which vectors are to be tried.
     *
     * @param reachable what the strategy can make reachable
     * @throws ErrnoException ENOSPC if isolation keeps all of them from this container
     */
    List<Integer> reserve(List<Integer> reachable) {
        boolean shareable = shared.shareable();
        return shared.reserve(this, () -> {
            List<Integer> banks = candidates(reachable, shareable);
            reserved = Set.copyOf(banks);
            return banks;
        });
    }

    /**
     * Reserves a bank that is to be placed, until {@link #settle}.
     *
     * @throws ErrnoException EBUSY if isolation keeps it from this container
     */
    void reserve(int bank) {
        boolean shareable = shared.shareable();
        shared.reserve(this, () -> {
            if (!shareable && shared.taken(this, bank)) {
                throw new ErrnoException(Errno.EBUSY,
                    "MSI bank %d is reachable in another container and isolation is asked for; place another bank",
                    bank);
            }
            reserved = Set.of(bank);
            return bank;
        });
    }

    /** Ends a reservation: the bank is in use now, or will not be used. */
    void settle() {
        shared.settle(() -> reserved = Set.of());
    }

    private List<Integer> candidates(List<Integer> reachable, boolean shareable) {
        List<Integer> banks = new ArrayList<>(reachable);
        banks.removeIf(bank -> !shareable && shared.taken(this, bank));
        if (banks.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC,
                "banks %s are reachable, but other containers reach them too and isolation is asked for; reach other "
                + "banks or choose another vector policy", reachable);
        }
        switch (policy) {
            case FIRST_FIT -> {
            }
            case PACKED -> banks.sort(Comparator.comparing(bank -> !uses(bank)));
            case SPREAD -> Collections.rotate(banks, -(turn++ % banks.size()));
            case ISOLATED -> {
                banks.sort(Comparator.comparing(bank -> !uses(bank)));
                return banks.subList(0, 1);
            }
        }
        return banks;
    }
}
