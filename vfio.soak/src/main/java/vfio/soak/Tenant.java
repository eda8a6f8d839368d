// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.Windows;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.LongAdder;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.Refusal;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Group;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Vfio;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;

/**
 * One container with its memory and its devices, owned by one program. The memory that no device may reach is filled
 * with a pattern: {@code mirror} lies at the physical addresses that are this container's device addresses, {@code
 * arena} holds the mapped slots and what lies between them.
 */
final class Tenant implements AutoCloseable {
    private final Referee referee;
    private final Vfio vfio;
    private final Container container;
    private final Msis msis;
    private final Layout layout;
    private final boolean windowed;
    private final DmaBuffer mirror;
    private final DmaBuffer arena;
    private final List<Device> devices = new ArrayList<>();
    private final Set<Integer> requesters = new TreeSet<>();
    private final AtomicIntegerArray refusals;
    private final LongAdder blocked = new LongAdder();
    private final Duration bound;
    /** Held while the user chooses a strategy, gives it an order, or says what is expected of the next one. */
    private final Object choice = new Object();
    /** The placements expected when the strategies are back; null if there are none. Guarded by {@link #choice}. */
    private Banks expected;
    private int interrupting;

    private record Banks(String strategy, List<MsiPlacement> placements) {
    }

    /**
     * A container for the groups of some devices; the devices are open, and nothing of it is left behind if this fails.
     */
    Tenant(Referee referee, Vfio vfio, DmaMemory memory, String name, String type, List<String> names) {
        this.referee = referee;
        this.vfio = vfio;
        this.container = vfio.openContainer(name);
        List<AutoCloseable> made = new ArrayList<>(List.of(container));
        try {
            msis = container.as(Msis.class);
            for (String device : names) {
                Group group = vfio.groupOf(device);
                if (!container.groups().contains(group)) {
                    container.addGroup(group);
                }
                requesters.addAll(group.requesters());
            }
            container.setIommu(type);
            IommuCapabilities capabilities = container.info().capabilities();
            windowed = capabilities.windowed();
            int slots = Layout.slots(windowed, capabilities.maxWindows());
            if (slots < 16) {
                throw new ErrnoException(Errno.ENOSPC,
                    "type %s has %d windows; 16 are needed for memory, guards and banks", type, slots);
            }
            long size = (long) Layout.SPAN * slots;
            // Twice the size: what lies outside the aperture is watched, too.
            mirror = memory.allocate(2 * size, 2 * size, DmaMemory.Layout.CONTIGUOUS);
            made.add(mirror);
            layout = new Layout(mirror.physical(0), Layout.SPAN, slots);
            refusals = new AtomicIntegerArray(slots + 2);
            arena = memory.allocate(size / 2, Layout.SPAN, DmaMemory.Layout.CONTIGUOUS);
            made.add(arena);
            Guard.fill(mirror, 0, mirror.size());
            Guard.fill(arena, 0, arena.size());
            if (windowed) {
                container.set(new Geometry(layout.start(), size));
                container.set(new Windows(slots));
                msis.strategy("window");
            }
            for (int slot = 0; slot < slots / 2; slot += 2) {
                container.map(layout.iova(slot), arena, offset(slot), layout.span(), Access.READ_WRITE);
            }
            for (String device : names) {
                devices.add(vfio.groupOf(device).device(device));
            }
            bound = container.as(Backends.class).stallBound();
        } catch (RuntimeException e) {
            for (int i = 0; i < made.size(); i++) {
                try {
                    made.get(i).close();
                } catch (Exception again) {
                    e.addSuppressed(again);
                }
            }
            throw e;
        }
    }

    Container container() {
        return container;
    }

    Msis msis() {
        return msis;
    }

    Layout layout() {
        return layout;
    }

    boolean windowed() {
        return windowed;
    }

    DmaBuffer arena() {
        return arena;
    }

    List<Device> devices() {
        return devices;
    }

    Set<Integer> requesters() {
        return requesters;
    }

    /** {@return where a mapped slot begins in the arena} */
    long offset(int slot) {
        return (long) slot * layout.span();
    }

    /** {@return the eventfd of a device's MSI, or empty if it cannot have one} */
    EventFd message(Device device) {
        EventFd eventFd = vfio.eventFd();
        int available = device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
        if (available > 0) {
            throw new ErrnoException(Errno.ENOSPC, "device %s has only %d vectors", device.name(), available);
        }
        interrupting++;
        return eventFd;
    }

    /** {@return the eventfd of a device's pin; empty if it is wired to nothing} */
    Optional<EventFd> pin(Device device) {
        EventFd eventFd = vfio.eventFd();
        try {
            device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
            return Optional.of(eventFd);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENODEV && e.errno() != Errno.EINVAL) {
                throw e;
            }
            return Optional.empty();
        }
    }

    /** An access of one of its devices was refused. On the device's thread. */
    void fault(Fault fault) {
        int slot = layout.slot(fault.iova());
        refusals.incrementAndGet(slot + 1);
        if (fault.refusal() == Refusal.BLOCKED) {
            // Whether it was due is seen from the reports.
            blocked.increment();
            referee.expectedFaults.increment();
        } else if (due(fault, slot)) {
            referee.expectedFaults.increment();
        } else {
            referee.unexpectedFaults.increment();
            referee.fail("container %s: %s, in slot %d", container.name(), fault, slot);
        }
    }

    private boolean due(Fault fault, int slot) {
        boolean write = fault.access() == Access.WRITE;
        if (!windowed && write && fault.iova() >>> 20 == 0xfee) {
            return false;
        }
        boolean nothingThere = fault.refusal() == Refusal.UNMAPPED || fault.refusal() == Refusal.OUTSIDE;
        return layout.never(slot) && nothingThere || layout.churn(slot) && fault.refusal() == Refusal.UNMAPPED
            || slot >= layout.firstBank() && !write && (nothingThere || fault.refusal() == Refusal.DENIED);
    }

    /** {@return how many accesses to a slot were refused so far} */
    int refusals(int slot) {
        return refusals.get(slot + 1);
    }

    /** {@return accesses that were refused because everything was blocked} */
    long blocked() {
        return blocked.sum();
    }

    /** {@return how long its devices wait, unless somebody changes that meanwhile} */
    Duration bound() {
        return bound;
    }

    /** Whether everything works: translations are there and every MSI has its vector. */
    boolean working() {
        return container.state() == ContainerState.ACTIVE && msis.routes().size() == interrupting;
    }

    /** The strategies' bundle is about to be swapped: what has been placed for its user must be there afterwards. */
    void expectBanks() {
        synchronized (choice) {
            List<MsiPlacement> placements = msis.placements();
            // Of others a bank is placed for as long as vectors of it are enabled, and those are given back meanwhile.
            expected = placements.isEmpty() ? null
                : msis.strategy().filter(Set.of("bank", "flag", "fd", "window")::contains)
                .map(strategy -> new Banks(strategy, placements)).orElse(null);
        }
    }

    /** Whether the banks that are expected are where they were, by the same strategy. */
    boolean hasBanks() {
        synchronized (choice) {
            return expected == null || msis.strategy().equals(Optional.of(expected.strategy))
                && msis.placements().containsAll(expected.placements);
        }
    }

    void expectNoBanks() {
        synchronized (choice) {
            expected = null;
        }
    }

    /**
     * Another strategy, by name; empty for the best of those there are. Nothing happens while banks are expected of the
     * one there was.
     */
    void choose(String strategy) {
        synchronized (choice) {
            if (expected == null) {
                msis.strategy(strategy);
            }
        }
    }

    /**
     * What the strategy in use leaves to the user: makes banks reachable that are not. Not while some are expected to
     * come back by themselves: a user who does it again would not notice that they do not.
     */
    void attend() {
        synchronized (choice) {
            if (expected == null) {
                placeBanks();
            }
        }
    }

    private void placeBanks() {
        try {
            String strategy = msis.strategy().orElse("");
            if (container.state() != ContainerState.ACTIVE || !msis.placements().isEmpty()) {
                return;
            }
            // One bank per slot, the first ones behind the memory that comes and goes.
            switch (strategy) {
                case "bank" -> {
                    long banks = msis.call("GET_MSI_BANK_COUNT");
                    for (int bank = 0; bank < banks; bank++) {
                        msis.call("MAP_MSI_BANK", bank, layout.iova(layout.firstBank() + bank));
                    }
                }
                case "flag" -> msis.call("MAP_DMA_MSI", layout.iova(layout.firstBank()), 0x1000);
                case "fd" -> msis.call("MAP_DMA_FD", msis.call("MMAP", msis.call("GET_MSI_FD", 0)),
                    layout.iova(layout.firstBank()));
                default -> {
                }
            }
        } catch (ErrnoException e) {
            // The strategy or the controller has just gone, another of its users was faster, or its provider was made
            // to fail: it is asked again.
            if (!Set.of(Errno.EAGAIN, Errno.ENODEV, Errno.ENOTTY, Errno.EEXIST).contains(e.errno())
                && !FaultyIommu.injected(e)) {
                throw e;
            }
        }
    }

    /** Looks at one slot's worth of memory that no device may have touched. */
    void glance(int dice) {
        int slot = Math.floorMod(dice, 2 * layout.slots() + layout.slots() / 4);
        boolean mirrored = slot < 2 * layout.slots();
        long offset = mirrored ? (long) slot * layout.span() : offset(2 * (slot - 2 * layout.slots()) + 1);
        expectUntouched(mirrored ? mirror : arena, offset, layout.span(),
            mirrored ? "at physical address" : "beside mapped memory, at");
    }

    /** Looks at all of it. */
    void inspect() {
        expectUntouched(mirror, 0, mirror.size(), "at physical address");
        for (int slot = 1; slot < layout.slots() / 2; slot += 2) {
            expectUntouched(arena, offset(slot), layout.span(), "beside mapped memory, at");
        }
    }

    private void expectUntouched(DmaBuffer buffer, long offset, long length, String where) {
        long changed = Guard.changed(buffer, offset, length);
        if (changed > 0) {
            referee.strayWrites.add(changed);
            referee.fail("container %s: %d bytes that no device may reach have changed, %s 0x%x", container.name(),
                changed, where, buffer.physical(offset));
            Guard.fill(buffer, offset, length);
        }
    }

    /** The tables are as the ledger says. Nothing is swapped meanwhile. */
    void compareTables() {
        container.mappings().forEach(mapping -> {
            long last = mapping.buffer().physical(mapping.offset() + mapping.length() - 1);
            if (container.lookup(mapping.iova(), Access.WRITE) != mapping.buffer().physical(mapping.offset())
                    || container.lookup(mapping.end(), Access.READ) != last) {
                referee.fail("container %s: the tables do not say of 0x%x..0x%x what the ledger says", container.name(),
                    mapping.iova(), mapping.end());
            }
        });
        for (int slot = 1; slot < layout.slots() / 2; slot += 2) {
            if (container.lookup(layout.iova(slot), Access.WRITE) >= 0) {
                referee.fail("container %s: the tables translate 0x%x, which was never mapped", container.name(),
                    layout.iova(slot));
            }
        }
    }

    @Override
    public void close() {
        try (arena; mirror; container) {
            devices.forEach(Device::close);
        }
    }
}
