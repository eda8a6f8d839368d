// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import vfio.api.Mapping;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiEnvironment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiSession;

class BankStrategyTest {
    /** A PAMU of 8 windows and three banks, which a test changes at will. */
    private static final class Environment implements MsiEnvironment {
        private IommuCapabilities capabilities = new IommuCapabilities(true, 0x1000, 256, 0, 0xf_ffff_ffffL, List.of(), true);
        private int windows = 8;
        private List<Bank> banks = List.of(new Bank(0, 0x1000, 0), new Bank(1, 0x1000, 0), new Bank(2, 0x1000, 0));
        private final List<MsiPlacement> placements = new ArrayList<>();

        @Override
        public IommuCapabilities capabilities() {
            return capabilities;
        }

        @Override
        public Geometry geometry() {
            return new Geometry(0, 0x2000_0000);
        }

        @Override
        public int windows() {
            return windows;
        }

        @Override
        public List<Bank> banks() {
            return banks;
        }

        @Override
        public List<Mapping> mappings() {
            return List.of();
        }

        @Override
        public List<MsiPlacement> placements() {
            return placements.stream().sorted(Comparator.comparing(MsiPlacement::iova)).toList();
        }

        @Override
        public void place(int bank, long iova) {
            if (placements.stream().anyMatch(one -> one.iova() == iova)) {
                throw new ErrnoException(Errno.EEXIST, "iova 0x%x is taken", iova);
            }
            placements.add(new MsiPlacement(bank, iova, 0x1000));
        }

        @Override
        public void remove(long iova) {
            assertTrue(placements.removeIf(one -> one.iova() == iova), "removes what is placed");
        }
    }

    private final Environment environment = new Environment();
    private final BankStrategy strategy = new BankStrategy();
    private final MsiSession session = strategy.bind(environment);

    private static void refused(Errno errno, String text, Executable call) {
        ErrnoException e = assertThrows(ErrnoException.class, call);
        assertEquals(errno, e.errno(), e.getMessage());
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    @Test
    @DisplayName("bank: its name and operations, the 2013 driver's")
    void operations() {
        assertEquals("bank", strategy.name());
        assertEquals(List.of("GET_MSI_BANK_COUNT", "MAP_MSI_BANK index iova", "UNMAP_MSI_BANK iova"), strategy.operations());
    }

    @Test
    @DisplayName("bank: assess: one window and one operation a bank, and one operation to count them")
    void assess() {
        assertEquals(new MsiAssessment(true, "the user maps each of 3 banks into a window", 3, 4), strategy.assess(environment));
        environment.windows = 0;
        assertTrue(strategy.assess(environment).feasible(), "windows not set yet");
        environment.windows = 4;
        assertTrue(strategy.assess(environment).feasible());
    }

    @Test
    @DisplayName("bank: assess: not feasible without a bank, without a window for memory, or where MSIs bypass translation")
    void infeasible() {
        environment.windows = 3;
        assertEquals("3 windows leave none for memory beside 3 banks", strategy.assess(environment).reason());
        environment.windows = 8;
        environment.banks = List.of();
        assertFalse(strategy.assess(environment).feasible());
        environment.banks = List.of(new MsiEnvironment.Bank(0, 0x100000, 0));
        environment.capabilities = new IommuCapabilities(false, 0x1000, 0, 0, 0xffff_ffff_ffffL,
            List.of(new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI)), false);
        assertEquals("MSIs do not enter translation here, so no bank can be mapped", strategy.assess(environment).reason());
    }

    @Test
    @DisplayName("GET_MSI_BANK_COUNT, MAP_MSI_BANK of each at 0x10000000, 0x14000000, 0x18000000: the RFC's worked sequence")
    void sequence() {
        assertEquals(3, session.call("GET_MSI_BANK_COUNT"));
        assertEquals(0, session.call("MAP_MSI_BANK", 0, 0x10000000));
        assertEquals(0, session.call("MAP_MSI_BANK", 1, 0x14000000));
        assertEquals(0, session.call("MAP_MSI_BANK", 2, 0x18000000));
        assertEquals(List.of(new MsiPlacement(0, 0x10000000, 0x1000), new MsiPlacement(1, 0x14000000, 0x1000),
            new MsiPlacement(2, 0x18000000, 0x1000)), environment.placements());
        assertEquals(List.of(0, 1, 2), session.reachable());
        assertEquals(0x14000000, session.enable(1));
        session.disable(1);
        assertEquals(3, environment.placements.size(), "the window stays the user's");
        assertEquals(0, session.call("UNMAP_MSI_BANK", 0x14000000));
        assertEquals(List.of(0, 2), session.reachable());
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    @Test
    @DisplayName("MAP_MSI_BANK: bad index: ENODEV, also if good in 32 bits; bank mapped already or address taken: EEXIST")
    void map() {
        refused(Errno.ENODEV, "bank 3", () -> session.call("MAP_MSI_BANK", 3, 0));
        refused(Errno.ENODEV, "bank -1", () -> session.call("MAP_MSI_BANK", -1, 0));
        refused(Errno.ENODEV, "bank 4294967296", () -> session.call("MAP_MSI_BANK", 1L << 32, 0));
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        refused(Errno.EEXIST, "0x10000000; unmap it", () -> session.call("MAP_MSI_BANK", 0, 0x14000000));
        refused(Errno.EEXIST, "0x10000000 is taken", () -> session.call("MAP_MSI_BANK", 1, 0x10000000));
        assertEquals(1, environment.placements.size());
    }

    @Test
    @DisplayName("UNMAP_MSI_BANK: not the exact iova of a mapped bank: EINVAL; vectors enabled: EBUSY")
    void unmap() {
        session.call("MAP_MSI_BANK", 0, 0x10000000);
        refused(Errno.EINVAL, "0x10000140", () -> session.call("UNMAP_MSI_BANK", 0x10000140));
        environment.banks = List.of(new MsiEnvironment.Bank(0, 0x1000, 2));
        refused(Errno.EBUSY, "2 vectors of MSI bank 0 at iova 0x10000000", () -> session.call("UNMAP_MSI_BANK", 0x10000000));
        assertEquals(1, environment.placements.size());
    }

    @Test
    @DisplayName("an operation it does not have: ENOTTY; a wrong number of arguments: EINVAL")
    void misuse() {
        refused(Errno.ENOTTY, "RING", () -> session.call("RING"));
        refused(Errno.EINVAL, "takes 0 arguments, not 1", () -> session.call("GET_MSI_BANK_COUNT", 1));
        refused(Errno.EINVAL, "takes 2 arguments, not 1", () -> session.call("MAP_MSI_BANK", 1));
        refused(Errno.EINVAL, "takes 1 arguments, not 0", () -> session.call("UNMAP_MSI_BANK"));
    }

    @Test
    @DisplayName("no bank mapped: nothing is reachable, and the message says what to call; a bank that is not mapped is not enabled")
    void nothingMapped() {
        refused(Errno.ENODEV, "call MAP_MSI_BANK first", session::reachable);
        refused(Errno.ENODEV, "call MAP_MSI_BANK 1 iova first", () -> session.enable(1));
    }
}
