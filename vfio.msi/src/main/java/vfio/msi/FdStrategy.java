// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import java.util.ArrayList;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code fd}, option C of <em>RFC: vfio API changes needed for powerpc</em>: a file descriptor for each bank, its mmap,
 * and MAP_DMA of the address that gave. Descriptor and address are numbers that mean something to this session only;
 * neither comes back once it is closed, so a stale one is noticed. As with memory, what is mapped for DMA stays mapped
 * when the descriptor is closed.
 *
 * <p>A bank that comes later takes the same three steps: ENODEV says so, if a vector of no other bank will do.
 */
@Component(property = {"msi.strategy=fd", "service.ranking:Integer=-50"})
public final class FdStrategy implements MsiStrategy {
    private static final String GET = "GET_MSI_FD";
    private static final String MMAP = "MMAP";
    private static final String MAP = "MAP_DMA_FD";
    private static final String UNMAP = "UNMAP_DMA_FD";
    private static final String CLOSE = "CLOSE_FD";

    @Override
    public String name() {
        return "fd";
    }

    @Override
    public List<String> operations() {
        return List.of(GET + " bank", MMAP + " fd", MAP + " vaddr iova", UNMAP + " iova", CLOSE + " fd");
    }

    /** {@inheritDoc} Feasible before the geometry is set too, if there can be enough windows. */
    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        return new Banks(environment).anywhere("the user gets a descriptor of each of %d banks, mmaps it and maps that",
            0, 3);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(this, new Banks(environment));
    }

    /** One for each bank at most: what is open is bounded. */
    private static final class Descriptor {
        private final int bank;
        private final long fd;
        /** Of its mmap; 0 before. */
        private long vaddr;

        private Descriptor(int bank, long fd) {
            this.bank = bank;
            this.fd = fd;
        }
    }

    private static final class Session implements MsiSession {
        /** The first behind standard input, output and error. */
        private static final long FIRST_FD = 3;
        /**
         * Start of the addresses that mmap returns, as on a 64-bit Linux; far from any descriptor, so that they cannot
         * be confused.
         */
        private static final long FIRST_VADDR = 0x7f00_0000_0000L;

        private final FdStrategy strategy;
        private final Banks banks;
        private final List<Descriptor> open = new ArrayList<>();
        private long nextFd = FIRST_FD;
        private long nextVaddr = FIRST_VADDR;

        private Session(FdStrategy strategy, Banks banks) {
            this.strategy = strategy;
            this.banks = banks;
        }

        @Override
        public List<Integer> reachable() {
            return banks.mapped(GET + ", " + MMAP + " and " + MAP);
        }

        @Override
        public long enable(int bank) {
            return banks.mapped(bank, GET + " " + bank + ", " + MMAP + " fd and " + MAP + " vaddr iova");
        }

        /** {@inheritDoc} Always: as if the user had mapped them. */
        @Override
        public boolean adopt(List<MsiPlacement> placements) {
            return true;
        }

        @Override
        public void disable(int bank) {
            // The window stays: it is the user's.
        }

        @Override
        public void mapping(long iova, long length) {
            // Any free window will do.
        }

        @Override
        public long call(String operation, long... arguments) {
            switch (operation) {
                case GET -> {
                    Banks.arity(operation, arguments, 1);
                    return open(arguments[0]);
                }
                case MMAP -> {
                    Banks.arity(operation, arguments, 1);
                    return mmap(arguments[0]);
                }
                case MAP -> {
                    Banks.arity(operation, arguments, 2);
                    map(arguments[0], arguments[1]);
                }
                case UNMAP -> {
                    Banks.arity(operation, arguments, 1);
                    banks.unmap(arguments[0]);
                }
                case CLOSE -> {
                    Banks.arity(operation, arguments, 1);
                    open.remove(descriptor(arguments[0]));
                }
                default -> throw Banks.unknown(strategy, operation);
            }
            return 0;
        }

        @Override
        public void close() {
            open.clear();
            banks.removeAll();
        }

        private long open(long index) {
            int bank = banks.require(index).index();
            for (Descriptor descriptor : open) {
                if (descriptor.bank == bank) {
                    throw new ErrnoException(Errno.EEXIST, "MSI bank %d has descriptor %d; use it, or %s it first",
                        bank, descriptor.fd, CLOSE);
                }
            }
            Descriptor descriptor = new Descriptor(bank, nextFd++);
            open.add(descriptor);
            return descriptor.fd;
        }

        private long mmap(long fd) {
            Descriptor descriptor = descriptor(fd);
            if (descriptor.vaddr != 0) {
                throw new ErrnoException(Errno.EEXIST, "descriptor %d is at vaddr 0x%x; use that", fd,
                    descriptor.vaddr);
            }
            long length = banks.require(descriptor.bank).length();
            descriptor.vaddr = nextVaddr;
            nextVaddr += length;
            return descriptor.vaddr;
        }

        private void map(long vaddr, long iova) {
            // 0 is the mark of a descriptor without mmap, and no address.
            Descriptor descriptor = open.stream().filter(candidate -> vaddr != 0 && candidate.vaddr == vaddr)
                .findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.EFAULT,
                    "no descriptor's mmap is at vaddr 0x%x; call %s first", vaddr, MMAP));
            banks.map(descriptor.bank, iova);
        }

        private Descriptor descriptor(long fd) {
            return open.stream().filter(candidate -> candidate.fd == fd).findFirst()
                .orElseThrow(
                    () -> new ErrnoException(Errno.EINVAL, "descriptor %d is not open; call %s first", fd, GET));
        }
    }
}
