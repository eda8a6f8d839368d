// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.MsiBank;
import irq.api.MsiDoorbells;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Wire;

/**
 * An interrupt controller whose banks hang on the bus: a 4-byte write at {@link #OFFSET} of a page rings vector
 * {@code data - base}.
 */
final class FakeController implements InterruptController, MsiDoorbells {
    static final int OFFSET = 0x140;
    static final String PATH = "/pic";

    final Trip trip;
    final int base;
    boolean verifies;
    /** Whether it says when a vector has become free. If not, who waits for one is routed when the test says so. */
    boolean tells;
    private final List<MsiBank> banks = new ArrayList<>();
    private final List<Attachment> pages = new ArrayList<>();
    private final Map<MsiVector, InterruptHandler> vectors = new ConcurrentHashMap<>();
    private final Map<Integer, List<InterruptHandler>> handlers = new ConcurrentHashMap<>();
    private final Set<Integer> asserted = ConcurrentHashMap.newKeySet();
    private final List<Runnable> freeListeners = new CopyOnWriteArrayList<>();

    FakeController(Bus bus, Trip trip, long page, int count, int vectorsEach, int base) {
        this.trip = trip;
        this.base = base;
        for (int i = 0; i < count; i++) {
            int bank = i;
            banks.add(new MsiBank(i, page + 0x1000L * i, 0x1000, vectorsEach));
            pages.add(bus.attach(page + 0x1000L * i, 0x1000, new Mmio() {
                @Override
                public long read(long offset, int size) {
                    return 0;
                }

                @Override
                public void write(int requester, long offset, int size, long value) {
                    InterruptHandler handler = vectors.get(new MsiVector(bank, (int) value - base));
                    if (offset == OFFSET && handler != null) {
                        handler.interrupt();
                    }
                }
            }));
        }
    }

    void unplug() {
        pages.forEach(Attachment::close);
    }

    int used() {
        return vectors.size();
    }

    int handlers() {
        return handlers.values().stream().mapToInt(List::size).sum();
    }

    /** Drives an input; handlers of a level run until it is low. */
    void line(int input, boolean level) {
        if (level) {
            asserted.add(input);
        } else {
            asserted.remove(input);
        }
        serve(input);
    }

    private void serve(int input) {
        for (int i = 0; i < 10 && asserted.contains(input); i++) {
            handlers.getOrDefault(input, List.of()).forEach(InterruptHandler::interrupt);
        }
    }

    @Override
    public Attachment request(Wire wire, InterruptHandler handler) {
        trip.step("request");
        if (!wire.controller().equals(PATH)) {
            throw new ErrnoException(Errno.EINVAL, "wire %s leads elsewhere", wire);
        }
        handlers.computeIfAbsent(wire.input(), input -> new CopyOnWriteArrayList<>()).add(handler);
        serve(wire.input());
        return () -> handlers.get(wire.input()).remove(handler);
    }

    @Override
    public void mask(Wire wire, boolean masked) {
        throw new AssertionError("a shared wire is not masked: the device is");
    }

    @Override
    public MsiDoorbells doorbells() {
        return this;
    }

    @Override
    public List<MsiBank> banks() {
        return banks;
    }

    @Override
    public boolean verifiesSource() {
        return verifies;
    }

    @Override
    public int free(int bank) {
        return banks.get(bank).vectors()
            - (int) vectors.keySet().stream().filter(vector -> vector.bank() == bank).count();
    }

    @Override
    public MsiVector allocate(MsiRequest request) {
        trip.step("allocate");
        for (int bank : request.banks()) {
            for (int number = 0; number < banks.get(bank).vectors(); number++) {
                MsiVector vector = new MsiVector(bank, number);
                if (vectors.putIfAbsent(vector, request.handler()) == null) {
                    return vector;
                }
            }
        }
        throw new ErrnoException(Errno.ENOSPC, "no vector is free in banks %s", request.banks());
    }

    @Override
    public void release(MsiVector vector) {
        forget(vector);
        if (tells) {
            freeListeners.forEach(Runnable::run);
        }
    }

    /** As {@link #release}, and nobody is told. */
    void forget(MsiVector vector) {
        if (vectors.remove(vector) == null) {
            throw new ErrnoException(Errno.ENOENT, "%s is not allocated", vector);
        }
    }

    @Override
    public Attachment onFree(Runnable listener) {
        freeListeners.add(listener);
        return () -> freeListeners.remove(listener);
    }

    /** {@return who listens for free vectors} */
    int freeListeners() {
        return freeListeners.size();
    }

    @Override
    public MsiMessage compose(MsiVector vector) {
        trip.step("compose");
        if (!vectors.containsKey(vector)) {
            throw new ErrnoException(Errno.ENOENT, "%s is not allocated", vector);
        }
        return new MsiMessage(vector.bank(), OFFSET, base + vector.number());
    }
}
