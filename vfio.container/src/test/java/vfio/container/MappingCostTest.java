// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import iommu.api.DomainAttribute;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import java.lang.management.ManagementFactory;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.container.host.ContainerLimits;
import vfio.container.state.Ledger;

/**
 * What a map and an unmap cost in comparisons of addresses, in bytes of garbage and in calls, by how much is mapped
 * already. No time.
 */
@Timeout(60)
class MappingCostTest {
    private static final int MOST = 1_000_000;
    private static final int SAMPLE = 64;

    /** Remembers nothing, counts. */
    private static final class Counting implements Iommu, IommuDomain {
        private long maps;
        private long unmaps;
        private long asked;

        @Override
        public IommuCapabilities capabilities() {
            return IommuCapabilities.paged(0x1000, 0, 0xffff_ffff_ffffL, List.of());
        }

        @Override
        public List<ReservedRegion> reservedRegions(Requester requester) {
            asked++;
            return List.of();
        }

        @Override
        public boolean serves(Requester requester) {
            return true;
        }

        @Override
        public IommuDomain open() {
            return this;
        }

        @Override
        public List<Wire> violationWires() {
            return List.of();
        }

        @Override
        public List<Violation> violations() {
            return List.of();
        }

        @Override
        public void attach(Requester requester) {
        }

        @Override
        public void detach(Requester requester) {
        }

        @Override
        public void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
            maps++;
        }

        @Override
        public void mapDoorbell(long iova, long physical, long length) {
        }

        @Override
        public long unmap(long iova, long length) {
            unmaps++;
            return length;
        }

        @Override
        public long lookup(long iova, int access) {
            return Refusal.UNMAPPED;
        }

        @Override
        public void set(DomainAttribute attribute) {
        }

        @Override
        public <A extends DomainAttribute> A get(Class<A> attribute) {
            return null;
        }

        @Override
        public void close() {
        }
    }

    /** A strategy that looks at all that is mapped, as one that seeks a free place would, before each map. */
    private static final class Curious extends FakeStrategy {
        private int seen;
        private Mapping first;

        Curious(Trip trip) {
            super(trip, false, 0, 0);
        }

        @Override
        public MsiSession bind(MsiEnvironment environment) {
            MsiSession session = super.bind(environment);
            return new MsiSession() {
                @Override
                public List<Integer> reachable() {
                    return session.reachable();
                }

                @Override
                public long enable(int bank) {
                    return session.enable(bank);
                }

                @Override
                public void disable(int bank) {
                    session.disable(bank);
                }

                @Override
                public void mapping(long iova, long length) {
                    List<Mapping> mappings = environment.mappings();
                    seen = mappings.size();
                    first = mappings.isEmpty() ? null : mappings.iterator().next();
                }

                @Override
                public long call(String operation, long... arguments) {
                    return session.call(operation, arguments);
                }

                @Override
                public void close() {
                    session.close();
                }
            };
        }
    }

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private long comparisons;

    private long garbage() {
        return threads.getThreadAllocatedBytes(Thread.currentThread().getId());
    }

    @Test
    @DisplayName("map and unmap beside up to 1000000 mappings: comparisons <= 8 log2 n, the same garbage, one call "
        + "of the IOMMU, no copy")
    void cost() {
        Board board = Board.type1(Board.settings(MOST + SAMPLE, ContainerLimits.UNLIMITED));
        board.vfio.removeIommu(board.iommu);
        board.vfio.removeStrategy(board.manual);
        Curious curious = new Curious(board.trip);
        board.vfio.addStrategy(curious, 0);
        Counting iommu = new Counting();
        board.vfio.addIommu(iommu, "type1");
        VfioContainer container = new VfioContainer(board.vfio.host(), "cost", new Ledger((a, b) -> {
            comparisons++;
            return Long.compareUnsigned(a, b);
        }));
        container.addGroup(board.vfio.group(1));
        container.setIommu("type1v2");
        DmaBuffer page = board.memory(0x1000);
        int mapped = 0;
        for (int size = 1_000; size <= MOST; size *= 10) {
            // Every other page, in an order that is neither up nor down: 7919 and the million have no factor in common.
            for (; mapped < size; mapped++) {
                container.map(place(mapped), page, 0, 0x1000, Access.READ_WRITE);
            }
            assertEquals(MOST + SAMPLE - size, container.info().mappingsAvailable());
            long asked = iommu.asked;
            long log = 64 - Long.numberOfLeadingZeros(size);
            long bytes = 0;
            for (int i = 0; i < SAMPLE; i++) {
                long iova = place(i * (size / SAMPLE)) + 0x1000;
                long maps = iommu.maps;
                long before = garbage();
                comparisons = 0;
                container.map(iova, page, 0, 0x1000, Access.READ_WRITE);
                assertTrue(comparisons <= 8 * log, comparisons + " comparisons to map beside " + size + " mappings");
                assertEquals(size, curious.seen);
                assertEquals(0, curious.first.iova());
                comparisons = 0;
                assertEquals(0x1000, container.unmap(iova, 0x1000));
                assertTrue(comparisons <= 8 * log, comparisons + " comparisons to unmap beside " + size + " mappings");
                bytes += garbage() - before;
                assertEquals(maps + 1, iommu.maps);
            }
            assertEquals(asked, iommu.asked,
                "reserved regions are asked for when somebody is attached, not for each map");
            // A copy of the least would be more than the limit: it is some 1200 bytes, and more before it is compiled.
            assertTrue(size < 10_000 || bytes / SAMPLE < 16_384,
                bytes / SAMPLE + " bytes of garbage to map and unmap beside " + size);
        }
        long unmaps = iommu.unmaps;
        assertEquals(MOST * 0x1000L, container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
        assertEquals(MOST, iommu.unmaps - unmaps);
        container.close();
    }

    private static long place(int number) {
        return 7_919L * number % MOST * 0x2000;
    }
}
