// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.msi.Expect.refused;

import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiSession;

class FdStrategyTest {
    private final FakeEnvironment environment = FakeEnvironment.windowed(8, 2);
    private final FdStrategy strategy = new FdStrategy();
    private final MsiSession session = strategy.bind(environment);

    @Test
    @DisplayName("fd: assess: three operations per bank, the overhead the RFC's thread objected to")
    void assess() {
        assertEquals(
            new MsiAssessment(true, "the user gets a descriptor of each of 2 banks, mmaps it and maps that", 2, 6),
            strategy.assess(environment));
        assertEquals(List.of("GET_MSI_FD bank", "MMAP fd", "MAP_DMA_FD vaddr iova", "UNMAP_DMA_FD iova", "CLOSE_FD fd"),
            strategy.operations());
    }

    @Test
    @DisplayName("GET_MSI_FD, MMAP, MAP_DMA_FD for each bank; the mapping outlives the descriptor, close() takes it "
        + "away")
    void sequence() {
        assertEquals(3, session.call("GET_MSI_FD", 0));
        assertEquals(0x7f00_0000_0000L, session.call("MMAP", 3));
        assertEquals(0, session.call("MAP_DMA_FD", 0x7f00_0000_0000L, 0x10000000));
        assertEquals(4, session.call("GET_MSI_FD", 1));
        assertEquals(0x7f00_0000_1000L, session.call("MMAP", 4));
        assertEquals(0, session.call("MAP_DMA_FD", 0x7f00_0000_1000L, 0x14000000));
        assertEquals(List.of(0, 1), session.reachable());
        assertEquals(0x14000000, environment.use(session, 1));
        assertEquals(0, session.call("CLOSE_FD", 4));
        assertEquals(List.of(new MsiPlacement(0, 0x10000000, 0x1000), new MsiPlacement(1, 0x14000000, 0x1000)),
            environment.placements());
        refused(Errno.EBUSY, "1 vectors of MSI bank 1", () -> session.call("UNMAP_DMA_FD", 0x14000000));
        environment.leave(session, 1);
        assertEquals(0, session.call("UNMAP_DMA_FD", 0x14000000));
        assertEquals(List.of(0), session.reachable());
        session.close();
        assertEquals(List.of(), environment.placements);
        refused(Errno.EINVAL, "descriptor 3 is not open", () -> session.call("MMAP", 3));
    }

    @Test
    @DisplayName("fd: a bad bank ENODEV, a bad or closed descriptor EINVAL, a bad or closed vaddr EFAULT")
    void bad() {
        refused(Errno.ENODEV, "bank 2", () -> session.call("GET_MSI_FD", 2));
        refused(Errno.ENODEV, "bank -1", () -> session.call("GET_MSI_FD", -1));
        refused(Errno.ENODEV, "bank 4294967296", () -> session.call("GET_MSI_FD", 1L << 32));
        refused(Errno.EINVAL, "descriptor 3 is not open; call GET_MSI_FD first", () -> session.call("MMAP", 3));
        refused(Errno.EINVAL, "descriptor 0 is not open", () -> session.call("CLOSE_FD", 0));
        long fd = session.call("GET_MSI_FD", 0);
        refused(Errno.EFAULT, "vaddr 0x0", () -> session.call("MAP_DMA_FD", 0, 0x10000000));
        refused(Errno.EFAULT, "vaddr 0x3", () -> session.call("MAP_DMA_FD", fd, 0x10000000));
        long vaddr = session.call("MMAP", fd);
        session.call("CLOSE_FD", fd);
        refused(Errno.EFAULT, "call MMAP first", () -> session.call("MAP_DMA_FD", vaddr, 0x10000000));
        refused(Errno.EINVAL, "descriptor 3", () -> session.call("MMAP", fd));
        refused(Errno.EINVAL, "descriptor 3", () -> session.call("CLOSE_FD", fd));
        assertEquals(4, session.call("GET_MSI_FD", 0), "a descriptor does not come back");
    }

    @Test
    @DisplayName("fd: a second descriptor, mmap or mapping of a bank EEXIST; not a window EINVAL; window taken "
        + "EEXIST; elsewhere EINVAL")
    void twice() {
        long fd = session.call("GET_MSI_FD", 0);
        refused(Errno.EEXIST, "MSI bank 0 has descriptor 3", () -> session.call("GET_MSI_FD", 0));
        long vaddr = session.call("MMAP", fd);
        refused(Errno.EEXIST, "0x7f0000000000", () -> session.call("MMAP", fd));
        refused(Errno.EINVAL, "0x10001000", () -> session.call("MAP_DMA_FD", vaddr, 0x10001000));
        session.call("MAP_DMA_FD", vaddr, 0x10000000);
        refused(Errno.EEXIST, "MSI bank 0 is mapped at iova 0x10000000",
            () -> session.call("MAP_DMA_FD", vaddr, 0x14000000));
        long other = session.call("MMAP", session.call("GET_MSI_FD", 1));
        refused(Errno.EEXIST, "0x10000000 is taken", () -> session.call("MAP_DMA_FD", other, 0x10000000));
        refused(Errno.EINVAL, "0x14000000", () -> session.call("UNMAP_DMA_FD", 0x14000000));
        assertEquals(1, environment.placements.size());
    }

    @Test
    @DisplayName("fd: an operation of another strategy ENOTTY; arguments EINVAL")
    void misuse() {
        refused(Errno.ENOTTY, "strategy fd has no operation MAP_MSI_BANK", () -> session.call("MAP_MSI_BANK", 0, 0));
        for (String one : List.of("GET_MSI_FD", "MMAP", "UNMAP_DMA_FD", "CLOSE_FD")) {
            refused(Errno.EINVAL, one + " takes 1 arguments, not 0", () -> session.call(one));
        }
        refused(Errno.EINVAL, "takes 2 arguments, not 3", () -> session.call("MAP_DMA_FD", 1, 2, 3));
    }

    @Test
    @DisplayName("fd: hot-plug: ENODEV says the three steps; a bank that is gone with its controller: ENODEV, and "
        + "nothing has changed")
    void hotPlug() {
        refused(Errno.ENODEV, "call GET_MSI_FD, MMAP and MAP_DMA_FD first", session::reachable);
        environment.bank(2, 0x1000);
        refused(Errno.ENODEV, "call GET_MSI_FD 2, MMAP fd and MAP_DMA_FD vaddr iova first",
            () -> environment.use(session, 2));
        long fd = session.call("GET_MSI_FD", 2);
        environment.banks.remove(2);
        refused(Errno.ENODEV, "no MSI bank 2", () -> session.call("MMAP", fd));
        environment.bank(2, 0x1000);
        session.call("MAP_DMA_FD", session.call("MMAP", fd), 0x18000000);
        assertEquals(0x18000000, environment.use(session, 2));
    }
}
