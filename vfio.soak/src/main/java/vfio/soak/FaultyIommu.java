// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import iommu.api.DomainAttribute;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.NamedAttribute;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import machine.api.Wire;

/**
 * Another provider of the same kind: one that passes everything on, but for one call of the contract, counted over
 * itself and its domains: there it throws, or is late. As the contract says, a call that throws has changed nothing;
 * except that a domain that throws when it is closed is closed, for what it kept blocked could never be given back
 * otherwise; and that an error, such as a class that a stale bundle does not find or memory that has run out, may
 * strike when everything was done and only the return is left.
 */
final class FaultyIommu implements Iommu {
    /** The behaviour of the faulty call. */
    enum Fault { ERRNO, EXCEPTION, ERROR, ERROR_WHEN_DONE, LATE }

    /** The calls of a domain, by name: those of a takeover, and those that users cause later. */
    static final List<String> OF_DOMAINS = List.of("attach", "detach", "map", "mapDoorbell", "unmap", "lookup", "set",
        "get", "close");

    private static final String MARK = "made to fail by the soak";

    private final Iommu real;
    private final Fault fault;
    private final String only;
    private final int at;
    private final long lateNanos;
    private final AtomicInteger calls = new AtomicInteger();
    private volatile String tripped;

    /**
     * @param only the name of the calls that are counted; empty for all
     * @param at which of them, from 1; 0 for none
     * @param lateNanos how long a late one takes
     */
    FaultyIommu(Iommu real, Fault fault, String only, int at, long lateNanos) {
        this.real = real;
        this.fault = fault;
        this.only = only;
        this.at = at;
        this.lateNanos = lateNanos;
    }

    /** Whether something was thrown because a provider was made to throw it. */
    static boolean injected(Throwable thrown) {
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (String.valueOf(cause.getMessage()).contains(MARK)) {
                return true;
            }
        }
        return false;
    }

    /** {@return the call that was made to fail, null if it has not been made yet} */
    String tripped() {
        return tripped;
    }

    /** {@return how many calls there were of those that are counted} */
    int calls() {
        return calls.get();
    }

    /** The normal behaviour of a call. */
    private <T> T call(String what, Supplier<T> work) {
        if (!only.isEmpty() && !only.equals(what) || calls.incrementAndGet() != at) {
            return work.get();
        }
        tripped = what;
        switch (fault) {
            case ERRNO -> throw new ErrnoException(Errno.EIO, "%s, call %d: %s", what, at, MARK);
            case EXCEPTION -> throw new IllegalStateException(what + ", call " + at + ": " + MARK);
            case ERROR -> throw new NoClassDefFoundError(what + ", call " + at + ": " + MARK);
            case ERROR_WHEN_DONE -> {
                if (work.get() instanceof Domain unseen) {
                    // Nobody has got it, so nobody else can.
                    unseen.domain.close();
                }
                throw new OutOfMemoryError(what + ", call " + at + ", done: " + MARK);
            }
            default -> {
                long until = System.nanoTime() + lateNanos;
                for (long left = lateNanos; left > 0; left = until - System.nanoTime()) {
                    LockSupport.parkNanos(left);
                    // As code that hangs does, it takes no notice of an interrupt.
                    Thread.interrupted();
                }
                return work.get();
            }
        }
    }

    private void call(String what, Runnable work) {
        call(what, () -> {
            work.run();
            return null;
        });
    }

    @Override
    public IommuCapabilities capabilities() {
        return call("capabilities", () -> real.capabilities());
    }

    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        return call("reservedRegions", () -> real.reservedRegions(requester));
    }

    @Override
    public boolean serves(Requester requester) {
        return call("serves", () -> real.serves(requester));
    }

    @Override
    public DomainAttribute attribute(NamedAttribute data) {
        return call("attribute", () -> real.attribute(data));
    }

    @Override
    public IommuDomain open() {
        return call("open", () -> new Domain(real.open()));
    }

    @Override
    public List<Wire> violationWires() {
        // The wires are the real one's, and so is listening to them.
        return List.of();
    }

    @Override
    public List<Violation> violations() {
        return List.of();
    }

    private final class Domain implements IommuDomain {
        private final IommuDomain domain;

        Domain(IommuDomain domain) {
            this.domain = domain;
        }

        @Override
        public void attach(Requester requester) {
            call("attach", () -> domain.attach(requester));
        }

        @Override
        public void detach(Requester requester) {
            call("detach", () -> domain.detach(requester));
        }

        @Override
        public void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
            call("map", () -> domain.map(iova, buffer, offset, length, access));
        }

        @Override
        public void mapDoorbell(long iova, long physical, long length) {
            call("mapDoorbell", () -> domain.mapDoorbell(iova, physical, length));
        }

        @Override
        public long unmap(long iova, long length) {
            return call("unmap", () -> domain.unmap(iova, length));
        }

        @Override
        public long lookup(long iova, int access) {
            return call("lookup", () -> domain.lookup(iova, access));
        }

        @Override
        public void set(DomainAttribute attribute) {
            call("set", () -> domain.set(attribute));
        }

        @Override
        public <A extends DomainAttribute> A get(Class<A> attribute) {
            return call("get", () -> domain.get(attribute));
        }

        @Override
        public void close() {
            domain.close();
            call("close", () -> { });
        }
    }
}
