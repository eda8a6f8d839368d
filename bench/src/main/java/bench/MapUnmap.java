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
import vfio.api.Container;
import vfio.container.VfioService;
import vfio.container.host.ContainerLimits;

/**
 * A page is mapped and unmapped again, drain included, while n others are mapped: every other page, the probe in
 * between: at 16 places, which stay in the processor's caches, or anywhere, which does not. With none, one page beside
 * each of the 16 keeps the tables standing, so that no ratio is flattered by building them.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class MapUnmap {
    private static final int LEAST = 16;
    /** A million pages from 0 would meet the interrupt range. */
    private static final long BASE = 1L << 32;

    /** Number of mappings. */
    @State(Scope.Benchmark)
    public static class Present {
        /** Mappings. */
        @Param("0")
        public int mappings;
        /** At how many places pages come and go; 0 for anywhere between the mappings. */
        @Param("16")
        public int places;
        final VtdBoard board = new VtdBoard();
        final DmaBuffer page = board.memory(VtdBoard.PAGE, VtdBoard.PAGE);
        long state = 1;

        int standing() {
            return Math.max(mappings, LEAST);
        }

        long probe() {
            state = Places.step(state, 0);
            return BASE + Places.place(state, places == 0 ? standing() : places) * 2L * VtdBoard.PAGE + VtdBoard.PAGE;
        }
    }

    /** The driver's domain. */
    @State(Scope.Benchmark)
    public static class Driver extends Present {
        IommuDomain domain;
        DmaPort port;

        /** Maps them. */
        @Setup
        public void setUp() {
            port = board.port();
            domain = board.driver.open();
            domain.attach(VtdBoard.REQUESTER);
            for (long i = 0; i < standing(); i++) {
                domain.map(BASE + i * 2 * VtdBoard.PAGE, page, 0, VtdBoard.PAGE, Access.READ_WRITE);
            }
        }
    }

    /** A container with the driver beneath. */
    @State(Scope.Benchmark)
    public static class Whole extends Present {
        Container container;
        DmaPort port;

        /** Maps them. */
        @Setup
        public void setUp() {
            port = board.port();
            VfioService vfio = new VfioService(board.machine,
                new ContainerLimits(standing() + LEAST, ContainerLimits.UNLIMITED, true));
            vfio.addIommu(board.driver, "vtd");
            vfio.addFunction(board.function());
            container = vfio.openContainer("bench");
            container.addGroup(vfio.group(1));
            container.setIommu("type1v2");
            for (long i = 0; i < standing(); i++) {
                container.map(BASE + i * 2 * VtdBoard.PAGE, page, 0, VtdBoard.PAGE, Access.READ_WRITE);
            }
        }
    }

    /** By the driver. */
    @Benchmark
    public long driver(Driver s) {
        long iova = s.probe();
        s.domain.map(iova, s.page, 0, VtdBoard.PAGE, Access.READ_WRITE);
        return s.domain.unmap(iova, VtdBoard.PAGE);
    }

    /** By the container. */
    @Benchmark
    public long container(Whole s) {
        long iova = s.probe();
        s.container.map(iova, s.page, 0, VtdBoard.PAGE, Access.READ_WRITE);
        return s.container.unmap(iova, VtdBoard.PAGE);
    }
}
