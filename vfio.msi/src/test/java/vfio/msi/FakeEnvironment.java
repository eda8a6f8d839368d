// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;

/**
 * One container as a strategy sees it, which a test changes at will: lists, and the rules by which an IOMMU refuses.
 * Vectors are counted as the container does: before a session's enable, and no more before its disable.
 */
final class FakeEnvironment implements MsiEnvironment {
    IommuCapabilities capabilities;
    Geometry geometry = new Geometry(0, 0);
    int windows;
    final TreeMap<Integer, Bank> banks = new TreeMap<>();
    final List<Mapping> mappings = new ArrayList<>();
    final List<MsiPlacement> placements = new ArrayList<>();

    private FakeEnvironment(IommuCapabilities capabilities) {
        this.capabilities = capabilities;
    }

    /** The RFC's: an aperture of 512 MiB at 0 in so many windows, 0 for not set; banks of a page each, from 0. */
    static FakeEnvironment windowed(int windows, int banks) {
        FakeEnvironment environment = new FakeEnvironment(
            IommuCapabilities.windowed("pamu", 0x1000, 256, true, 0, 0xf_ffff_ffffL));
        for (int i = 0; i < banks; i++) {
            environment.bank(i, 0x1000);
        }
        if (windows > 0) {
            environment.set(new Geometry(0, 0x2000_0000), windows);
        }
        return environment;
    }

    static FakeEnvironment paged(long start, long end, int banks, ReservedRegion... reserved) {
        FakeEnvironment environment = new FakeEnvironment(
            IommuCapabilities.paged(0x1000, start, end, List.of(reserved)));
        for (int i = 0; i < banks; i++) {
            environment.bank(i, 0x1000);
        }
        return environment;
    }

    void set(Geometry wanted, int count) {
        geometry = wanted;
        windows = count;
    }

    void bank(int index, long length) {
        banks.put(index, new Bank(index, length, 0));
    }

    long window() {
        return geometry.size() / windows;
    }

    /** MAP_DMA, once the strategy has not objected; the memory itself is nobody's concern here. */
    void map(MsiSession session, long iova, long length) {
        session.mapping(iova, length);
        requireFree(iova, length);
        mappings.add(new Mapping(iova, null, 0, length, Access.READ_WRITE));
    }

    /** One more vector of a bank. */
    long use(MsiSession session, int bank) {
        vectors(bank, 1);
        try {
            return session.enable(bank);
        } catch (ErrnoException e) {
            vectors(bank, -1);
            throw e;
        }
    }

    void leave(MsiSession session, int bank) {
        vectors(bank, -1);
        session.disable(bank);
    }

    private void vectors(int index, int more) {
        banks.computeIfPresent(index, (key, bank) -> new Bank(index, bank.length(), bank.vectorsInUse() + more));
    }

    @Override
    public IommuCapabilities capabilities() {
        return capabilities;
    }

    @Override
    public Geometry geometry() {
        return geometry;
    }

    @Override
    public int windows() {
        return windows;
    }

    @Override
    public List<Bank> banks() {
        return List.copyOf(banks.values());
    }

    @Override
    public List<Mapping> mappings() {
        return mappings.stream().sorted(Comparator.comparing(Mapping::iova, Long::compareUnsigned)).toList();
    }

    @Override
    public List<ReservedRegion> reserved() {
        return capabilities.reserved();
    }

    @Override
    public List<MsiPlacement> placements() {
        return placements.stream().sorted(Comparator.comparing(MsiPlacement::iova, Long::compareUnsigned)).toList();
    }

    @Override
    public void place(int index, long iova) {
        Bank bank = banks.get(index);
        if (bank == null) {
            throw new ErrnoException(Errno.ENODEV, "the interrupt controller has no MSI bank %d", index);
        }
        requireFree(iova, bank.length());
        placements.add(new MsiPlacement(index, iova, bank.length()));
    }

    @Override
    public void move(int index, long iova) {
        MsiPlacement old = placements.stream().filter(one -> one.bank() == index).findFirst().orElseThrow();
        place(index, iova);
        remove(old.iova());
    }

    @Override
    public void remove(long iova) {
        if (!placements.removeIf(one -> one.iova() == iova)) {
            throw new ErrnoException(Errno.ENOENT, "no MSI bank is placed at iova 0x%x", iova);
        }
    }

    /** Whether nothing of the range is mapped, by windows where there are windows. */
    boolean free(long iova, long length) {
        long unit = capabilities.windowed() ? window() : 0x1000;
        return mappings.stream().noneMatch(one -> overlap(iova, length, one.iova(), one.length(), unit))
            && placements.stream().noneMatch(one -> overlap(iova, length, one.iova(), one.length(), unit));
    }

    private void requireFree(long iova, long length) {
        if (capabilities.windowed()) {
            if (windows == 0 || !geometry.contains(iova) || !geometry.contains(iova + length - 1)
                    || (iova - geometry.start()) % window() != 0) {
                throw new ErrnoException(Errno.EINVAL, "iova 0x%x is not the start of a window", iova);
            }
        } else if ((iova & 0xfff) != 0 || iova < capabilities.apertureStart()
            || iova + length - 1 > capabilities.apertureEnd()) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x is not a page of the aperture", iova);
        }
        if (capabilities.reserved().stream()
            .anyMatch(one -> overlap(iova, length, one.start(), one.end() - one.start() + 1, 1))) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x is reserved", iova);
        }
        if (!free(iova, length)) {
            throw new ErrnoException(Errno.EEXIST, "iova 0x%x is taken", iova);
        }
    }

    /** Both rounded outwards to the unit. */
    private boolean overlap(long a, long aLength, long b, long bLength, long unit) {
        long base = geometry.start();
        return (a - base) / unit <= (b - base + bLength - 1) / unit
            && (b - base) / unit <= (a - base + aLength - 1) / unit;
    }
}
