// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.api.IommuDomain;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;
import vfio.container.VfioService;
import vfio.container.host.ContainerLimits;

/**
 * The time a swap holds devices back: the provider of a container leaves and comes back, with n mappings of 4 KiB to
 * quiesce, close, replay, read back and attach. Beside it what a program would do that only maps them: a domain, the
 * device attached, n mappings, closed.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Gap {
    private static final long BASE = 1L << 32;

    /** Number of mappings, each beside a hole. */
    @State(Scope.Benchmark)
    public static class Mapped {
        /** Mappings. */
        @Param("0")
        public int mappings;
        final VtdBoard board = new VtdBoard();
        final DmaBuffer page = board.memory(VtdBoard.PAGE, VtdBoard.PAGE);
        DmaPort port;

        static long iova(long i) {
            return BASE + i * 2 * VtdBoard.PAGE;
        }
    }

    /** A container that holds them. */
    @State(Scope.Benchmark)
    public static class Held extends Mapped {
        VfioService vfio;
        Container container;

        /** Maps them. */
        @Setup
        public void setUp() {
            port = board.port();
            vfio = new VfioService(board.machine, new ContainerLimits(mappings + 1, ContainerLimits.UNLIMITED, true));
            vfio.addIommu(board.driver, "vtd");
            vfio.addFunction(board.function());
            container = vfio.openContainer("bench");
            container.addGroup(vfio.group(1));
            container.setIommu("type1v2");
            for (long i = 0; i < mappings; i++) {
                container.map(iova(i), page, 0, VtdBoard.PAGE, Access.READ_WRITE);
            }
        }

        /** Every swap has worked. */
        @TearDown
        public void verify() {
            if (container.state() != ContainerState.ACTIVE
                || !vfio.as(Swaps.class).latest().stream().allMatch(Swap::done)) {
                throw new IllegalStateException(container.state() + ": " + container.reason());
            }
        }
    }

    /** A device and no domain. */
    @State(Scope.Benchmark)
    public static class Bare extends Mapped {
        /** Opens its port. */
        @Setup
        public void setUp() {
            port = board.port();
        }
    }

    /** The provider leaves and comes back. */
    @Benchmark
    public ContainerState swap(Held s) {
        s.vfio.removeIommu(s.board.driver);
        s.vfio.addIommu(s.board.driver, "vtd");
        return s.container.state();
    }

    /** The driver's part of it without the care. */
    @Benchmark
    public IommuDomain bare(Bare s) {
        IommuDomain domain = s.board.driver.open();
        domain.attach(VtdBoard.REQUESTER);
        for (long i = 0; i < s.mappings; i++) {
            domain.map(Mapped.iova(i), s.page, 0, VtdBoard.PAGE, Access.READ_WRITE);
        }
        domain.close();
        return domain;
    }
}
