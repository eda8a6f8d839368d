// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.function.IntToLongFunction;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * The banks of one container and the places for them, as every strategy that places banks looks at them. It remembers
 * nothing: each answer is the environment's of that moment. Used under the container's lock.
 *
 * <p>A <em>slot</em> is what one bank occupies: a window; in a paged aperture the longest bank's length.
 */
final class Banks {
    /** Device addresses, the end inclusive, both unsigned. */
    record Range(long start, long end) {
        boolean touches(long iova, long length) {
            return Long.compareUnsigned(iova, end) <= 0 && Long.compareUnsigned(iova + length - 1, start) >= 0;
        }

        boolean holds(long iova, long length) {
            return Long.compareUnsigned(iova, start) >= 0 && Long.compareUnsigned(iova + length - 1, end) <= 0;
        }

        @Override
        public String toString() {
            return String.format("0x%x..0x%x", start, end);
        }
    }

    private final MsiEnvironment environment;

    Banks(MsiEnvironment environment) {
        this.environment = environment;
    }

    // For assess(). Placements do not count there: they are the active strategy's, and leave with it.

    /** {@return why no bank can be placed here whatever the strategy, empty if nothing is known against it} */
    String obstacle() {
        IommuCapabilities capabilities = environment.capabilities();
        int banks = environment.banks().size();
        if (banks == 0) {
            return "the interrupt controller has no MSI bank";
        }
        if (capabilities.reserved().stream().anyMatch(region -> region.kind() == ReservedRegion.Kind.MSI)) {
            return "MSIs do not enter translation here, so no bank can be mapped";
        }
        if (!capabilities.windowed()) {
            return "";
        }
        if (!ready()) {
            return capabilities.maxWindows() > banks ? ""
                : String.format("at most %d windows leave none for memory beside %d banks", capabilities.maxWindows(),
                    banks);
        }
        if (environment.windows() <= banks) {
            return String.format("%d windows leave none for memory beside %d banks", environment.windows(), banks);
        }
        for (MsiEnvironment.Bank bank : environment.banks()) {
            if (bank.length() > slot()) {
                return String.format("MSI bank %d has 0x%x bytes, a window only 0x%x", bank.index(), bank.length(),
                    slot());
            }
        }
        return "";
    }

    /**
     * What there is to say of a strategy that lets a bank be in any slot.
     *
     * @param does what it would do with %d banks
     * @param operations how many operations the user has to do, however many banks there are
     * @param perBank how many more for each bank
     */
    MsiAssessment anywhere(String does, int operations, int perBank) {
        String obstacle = obstacle();
        if (!obstacle.isEmpty()) {
            return MsiAssessment.refused(obstacle);
        }
        int banks = environment.banks().size();
        int room = ready() ? withoutMemory(aperture(), banks).size() : banks;
        if (room == 0) {
            return MsiAssessment.refused(environment.capabilities().windowed()
                ? String.format("none of the %d windows is free of memory and reserved ranges; unmap some",
                    environment.windows())
                : String.format("memory and reserved ranges leave no 0x%x bytes free in %s; unmap some", slot(),
                    aperture()));
        }
        return promise(String.format(does, banks), room, operations + room * perBank);
    }

    /** {@return feasible for that many banks, saying so if that is not all} */
    MsiAssessment promise(String does, int room, int operations) {
        boolean all = room >= environment.banks().size();
        return new MsiAssessment(true, all ? does : String.format("%s; there is room for only %d", does, room), room,
            operations);
    }

    /**
     * {@return the slots in the range that neither memory nor a reserved range touches, ascending, no more than the
     * limit}
     */
    List<Long> withoutMemory(Range range, int limit) {
        return slots(range, limit, memory());
    }

    // For sessions.

    /** {@return the banks' indexes} */
    List<Integer> indexes() {
        return environment.banks().stream().map(MsiEnvironment.Bank::index).toList();
    }

    /** {@return one more than the highest index, 0 without a bank} */
    int span() {
        return indexes().stream().mapToInt(index -> index + 1).max().orElse(0);
    }

    /** {@return whether addresses can be chosen: of a windowed aperture, whether it and its windows are set} */
    boolean ready() {
        return !environment.capabilities().windowed() || environment.geometry().size() > 0 && environment.windows() > 0;
    }

    /** @throws ErrnoException ENODEV while addresses cannot be chosen */
    void requireReady() {
        if (!ready()) {
            throw new ErrnoException(Errno.ENODEV,
                "no window for an MSI bank: set the geometry, then the windows, first");
        }
    }

    /** {@return the addresses that can be translated; only if {@link #ready}} */
    Range aperture() {
        IommuCapabilities capabilities = environment.capabilities();
        Geometry geometry = environment.geometry();
        return capabilities.windowed() ? new Range(geometry.start(), geometry.end())
            : new Range(capabilities.apertureStart(), capabilities.apertureEnd());
    }

    /** {@return bytes of a slot; only if {@link #ready}} */
    long slot() {
        return environment.capabilities().windowed() ? environment.geometry().size() / environment.windows()
            : Math.max(environment.capabilities().smallestPage(),
                environment.banks().stream().mapToLong(MsiEnvironment.Bank::length).max().orElse(0));
    }

    /** {@return the slots in the range that nothing touches, ascending, no more than the limit} */
    List<Long> free(Range range, int limit) {
        return slots(range, limit, Stream.concat(memory(), environment.placements().stream()
            .map(placement -> new Range(placement.iova(), placement.iova() + placement.length() - 1))));
    }

    /**
     * {@return the banks the user has mapped}
     *
     * @param advice what to call if none is
     * @throws ErrnoException ENODEV if none is
     */
    List<Integer> mapped(String advice) {
        List<Integer> mapped = indexes().stream().filter(index -> placement(index) != null).toList();
        if (mapped.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "no MSI bank is mapped; call %s first, for one of banks %s", advice,
                indexes());
        }
        return mapped;
    }

    /**
     * {@return where the user has mapped a bank}
     *
     * @param advice what to call if it is not
     * @throws ErrnoException ENODEV if it is not mapped
     */
    long mapped(int bank, String advice) {
        MsiPlacement placement = placement(bank);
        if (placement == null) {
            throw new ErrnoException(Errno.ENODEV, "MSI bank %d is not mapped; call %s first", bank, advice);
        }
        return placement.iova();
    }

    /**
     * {@return the banks that are placed, then those for which there is room; all if there are neither, as placing one
     *     will then say what is in the way}
     *
     * @throws ErrnoException ENODEV without a bank, or while addresses cannot be chosen
     */
    List<Integer> onDemand(IntPredicate room) {
        List<Integer> all = indexes();
        if (all.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV,
                "there is no MSI bank for this container: the interrupt controller has none, or isolation keeps them "
                    + "for others");
        }
        requireReady();
        List<Integer> welcome = new ArrayList<>(all.stream().filter(index -> placement(index) != null).toList());
        all.stream().filter(index -> placement(index) == null && room.test(index)).forEach(welcome::add);
        return welcome.isEmpty() ? all : welcome;
    }

    /**
     * {@return where the bank is, having placed it if it was nowhere}
     *
     * @param home chooses a free slot, or throws
     * @throws ErrnoException ENODEV if there is no such bank, or while addresses cannot be chosen
     */
    long place(int bank, IntToLongFunction home) {
        MsiPlacement placement = placement(bank);
        if (placement != null) {
            return placement.iova();
        }
        require(bank);
        requireReady();
        long iova = home.applyAsLong(bank);
        environment.place(bank, iova);
        return iova;
    }

    /** Gives the bank's slot back if no vector of it is in use any more. */
    void leave(int bank) {
        MsiPlacement placement = placement(bank);
        if (placement != null && inUse(bank) == 0) {
            environment.remove(placement.iova());
        }
    }

    /**
     * Has the user map a bank.
     *
     * @param index as the user gave it
     * @throws ErrnoException ENODEV if there is no such bank; EEXIST if it is mapped; what the environment throws
     */
    void map(long index, long iova) {
        MsiEnvironment.Bank bank = require(index);
        MsiPlacement placement = placement(bank.index());
        if (placement != null) {
            throw new ErrnoException(Errno.EEXIST, "MSI bank %d is mapped at iova 0x%x; unmap it there first", index,
                placement.iova());
        }
        environment.place(bank.index(), iova);
    }

    /**
     * Has the user move a bank that is mapped; vectors of it stay enabled.
     *
     * @throws ErrnoException ENODEV if there is no such bank, or if it is not mapped; what the environment throws
     */
    void move(long index, long iova) {
        MsiEnvironment.Bank bank = require(index);
        mapped(bank.index(), "MAP_MSI_BANK " + index + " iova");
        environment.move(bank.index(), iova);
    }

    /**
     * Has the user unmap the bank at an address.
     *
     * @throws ErrnoException EINVAL if that is not exactly where one is mapped; EBUSY while vectors of it are enabled
     */
    void unmap(long iova) {
        MsiPlacement placement = environment.placements().stream().filter(candidate -> candidate.iova() == iova)
            .findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.EINVAL, "no MSI bank is mapped at iova 0x%x", iova));
        int inUse = inUse(placement.bank());
        if (inUse > 0) {
            throw new ErrnoException(Errno.EBUSY,
                "%d vectors of MSI bank %d at iova 0x%x are enabled; disable them first", inUse,
                placement.bank(), iova);
        }
        environment.remove(iova);
    }

    /**
     * {@return the bank}
     *
     * @throws ErrnoException ENODEV if this container has no such bank
     */
    MsiEnvironment.Bank require(long index) {
        return environment.banks().stream().filter(bank -> bank.index() == index).findFirst()
            .orElseThrow(
                () -> new ErrnoException(Errno.ENODEV, "there is no MSI bank %d for this container; it has %s", index,
                indexes()));
    }

    /** {@return where the bank is placed, or null} */
    MsiPlacement placement(int bank) {
        return environment.placements().stream().filter(placement -> placement.bank() == bank).findFirst().orElse(null);
    }

    /** Takes away whatever is placed. */
    void removeAll() {
        environment.placements().forEach(placement -> environment.remove(placement.iova()));
    }

    /** @throws ErrnoException EINVAL for a wrong number of arguments */
    static void arity(String operation, long[] arguments, int expected) {
        if (arguments.length != expected) {
            throw new ErrnoException(Errno.EINVAL, "%s takes %d arguments, not %d", operation, expected,
                arguments.length);
        }
    }

    /** {@return ENOTTY: the active strategy does not have that operation} */
    static ErrnoException unknown(MsiStrategy active, String operation) {
        return new ErrnoException(Errno.ENOTTY, "strategy %s has no operation %s; it has %s", active.name(), operation,
            active.operations());
    }

    private int inUse(int bank) {
        return environment.banks().stream().filter(one -> one.index() == bank)
            .mapToInt(MsiEnvironment.Bank::vectorsInUse).sum();
    }

    private Stream<Range> memory() {
        return Stream.concat(environment.mappings().stream().map(mapping -> new Range(mapping.iova(), mapping.end())),
            environment.reserved().stream().map(region -> new Range(region.start(), region.end())));
    }

    /** One pass upwards; addresses are unsigned, and may reach up to the last of all. */
    private List<Long> slots(Range range, int limit, Stream<Range> occupied) {
        List<Long> found = new ArrayList<>();
        Range aperture = aperture();
        long slot = slot();
        long at = Long.compareUnsigned(range.start, aperture.start) > 0 ? range.start : aperture.start;
        long end = Long.compareUnsigned(range.end, aperture.end) < 0 ? range.end : aperture.end;
        List<Range> taken = new ArrayList<>(occupied.sorted((a, b) -> Long.compareUnsigned(a.start, b.start)).toList());
        // The gap behind the last of them ends with the range.
        taken.add(null);
        for (Range next : taken) {
            long over = Long.remainderUnsigned(at - aperture.start, slot);
            if (over != 0) {
                if (Long.compareUnsigned(at, end) > 0 || Long.compareUnsigned(end - at, slot - over) < 0) {
                    return found;
                }
                at += slot - over;
            }
            while (found.size() < limit && Long.compareUnsigned(at, end) <= 0
                && Long.compareUnsigned(end - at, slot - 1) >= 0
                    && (next == null || Long.compareUnsigned(at + slot - 1, next.start) < 0)) {
                found.add(at);
                if (Long.compareUnsigned(end - at, slot) < 0) {
                    return found;
                }
                at += slot;
            }
            if (next != null && Long.compareUnsigned(next.end, at) >= 0) {
                if (Long.compareUnsigned(next.end, end) >= 0) {
                    return found;
                }
                at = next.end + 1;
            }
        }
        return found;
    }
}
