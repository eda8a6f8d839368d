// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.DomainAttribute;
import iommu.api.IommuDomain;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;

/**
 * A provider's domain as its container calls it. The contract says that a call that throws an {@link ErrnoException}
 * has changed nothing; what else comes out of it, such as a class that is not found, memory that has run out, a
 * mistake, may have struck halfway. Then the caller gets EIO, and the domain is {@linkplain #doubt in doubt}: nobody
 * knows what its tables say, until they are made anew from the ledger. The container's lock guards it; {@link #close}
 * may be called on any thread.
 *
 * <p>On the control path alone: called by {@code VfioContainer}, it calls the provider's bundle.
 */
public final class GuardedDomain implements IommuDomain {
    private final IommuDomain domain;
    private final String provider;
    /** Memory that tables in doubt may still lead to: held until they are gone. Guarded by itself. */
    private final List<DmaBuffer> held = new ArrayList<>();
    private String doubt;

    /** @param provider its name, for messages */
    public GuardedDomain(IommuDomain domain, String provider) {
        this.domain = domain;
        this.provider = provider;
    }

    /** {@return why nobody knows what its tables say; null while that is known} */
    public String doubt() {
        return doubt;
    }

    /** From now on nobody knows whether tables and ledger say the same. */
    public void doubt(String why) {
        if (doubt == null) {
            doubt = why;
        }
    }

    /**
     * Notes in the ledger what the tables say already.
     *
     * @throws RuntimeException what the note has thrown; the domain is in doubt then
     */
    public void noted(Runnable note) {
        try {
            note.run();
        } catch (RuntimeException | Error e) {
            doubt("the ledger could not follow: " + e);
            throw e;
        }
    }

    @Override
    public void attach(Requester requester) {
        change("attach", () -> domain.attach(requester));
    }

    @Override
    public void detach(Requester requester) {
        change("detach", () -> domain.detach(requester));
    }

    @Override
    public void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
        boolean known = doubt != null;
        try {
            change("map", () -> domain.map(iova, buffer, offset, length, access));
        } finally {
            if (!known && doubt != null) {
                buffer.retain();
                synchronized (held) {
                    held.add(buffer);
                }
            }
        }
    }

    @Override
    public void mapDoorbell(long iova, long physical, long length) {
        change("mapDoorbell", () -> domain.mapDoorbell(iova, physical, length));
    }

    @Override
    public long unmap(long iova, long length) {
        long[] bytes = new long[1];
        change("unmap", () -> bytes[0] = domain.unmap(iova, length));
        return bytes[0];
    }

    @Override
    public long lookup(long iova, int access) {
        return ask("lookup", () -> domain.lookup(iova, access));
    }

    @Override
    public void set(DomainAttribute attribute) {
        change("set", () -> domain.set(attribute));
    }

    @Override
    public <A extends DomainAttribute> A get(Class<A> attribute) {
        return ask("get", () -> domain.get(attribute));
    }

    @Override
    public void close() {
        ask("close", () -> {
            domain.close();
            return null;
        });
        synchronized (held) {
            held.forEach(DmaBuffer::release);
            held.clear();
        }
    }

    private void change(String call, Runnable work) {
        try {
            work.run();
        } catch (ErrnoException e) {
            throw e;
        } catch (RuntimeException | Error e) {
            doubt(String.format("%s of %s has thrown %s", call, provider, e));
            throw unforeseen(call, e);
        }
    }

    private <T> T ask(String call, Supplier<T> work) {
        try {
            return work.get();
        } catch (ErrnoException e) {
            throw e;
        } catch (RuntimeException | Error e) {
            throw unforeseen(call, e);
        }
    }

    private ErrnoException unforeseen(String call, Throwable thrown) {
        return new ErrnoException(Errno.EIO, thrown, "%s of %s has thrown %s; replace that bundle", call, provider,
            thrown);
    }
}
