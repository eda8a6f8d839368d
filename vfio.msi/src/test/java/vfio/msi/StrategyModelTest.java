// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static vfio.msi.Expect.refused;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Mapping;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/** Assessments against what happens, in random environments. */
class StrategyModelTest {
    private static final int ENVIRONMENTS = 800;
    private static final List<String> PLACED_BY_USER = List.of("bank", "flag", "fd");
    private static final List<String> KEEPS = List.of("tail", "window");

    private Random random;

    @Test
    @DisplayName("feasible: every bank promised can be enabled by the operations counted; not feasible: the reason "
        + "is true")
    void model() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("StrategyModelTest.model -Dgantry.seed=" + seed);
        Map<String, Integer> feasible = new TreeMap<>();
        for (int i = 0; i < ENVIRONMENTS; i++) {
            for (int j = 0; j < 8; j++) {
                // The same environment for each strategy.
                random = new Random(seed + i);
                FakeEnvironment environment = environment();
                long start = random.nextInt(48) * 0x1000L;
                MsiStrategy strategy = List
                    .of(new ReservedStrategy(), new BankStrategy(), new FlagStrategy(), new FdStrategy(),
                    new TopDownStrategy(), new TailStrategy(), new WindowStrategy(0, 0),
                    new WindowStrategy(environment.geometry.start() + start, (1 + random.nextInt(24)) * 0x1000L))
                    .get(j);
                MsiAssessment assessment = strategy.assess(environment);
                String where = String.format("-Dgantry.seed=%d, environment %d, %s: %s", seed, i, strategy.name(),
                    assessment);
                try {
                    if (assessment.feasible()) {
                        feasible.merge(strategy.name(), 1, Integer::sum);
                        keepsItsPromise(strategy, environment, assessment, j == 7);
                    } else {
                        assertTrue(isTrue(assessment.reason(), environment), "reason is true");
                    }
                } catch (RuntimeException | AssertionError e) {
                    throw new AssertionError(where, e);
                }
            }
        }
        assertEquals(7, feasible.size(), feasible.toString());
    }

    private FakeEnvironment environment() {
        FakeEnvironment environment;
        double full = List.of(0.0, 0.3, 0.9, 1.0).get(random.nextInt(4));
        if (random.nextInt(3) == 0) {
            List<ReservedRegion> reserved = List.of(
                List.<ReservedRegion>of(),
                List.of(new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI)),
                List.of(new ReservedRegion(0x3000, 0x4fff, ReservedRegion.Kind.DIRECT)),
                List.of(new ReservedRegion(0x08000000, 0x080ff7ffL, ReservedRegion.Kind.RESERVED)))
                .get(random.nextInt(4));
            long end = random.nextBoolean() ? 0xffff : 0xffff_ffff_ffffL;
            environment = FakeEnvironment.paged(0, end, 0, reserved.toArray(new ReservedRegion[0]));
            // The start of the aperture and of Linux's window, page by page.
            LongStream.concat(LongStream.range(0, 16), LongStream.range(0x8000, 0x8004)).map(page -> page * 0x1000)
                .filter(iova -> iova <= end && random.nextDouble() < full
                    && environment.capabilities.reserved().stream()
                        .noneMatch(one -> iova <= one.end() && iova + 0xfff >= one.start()))
                .forEach(iova -> environment.mappings.add(new Mapping(iova, null, 0, 0x1000, Access.READ)));
        } else {
            environment = FakeEnvironment.windowed(0, 0);
            int most = List.of(2, 4, 16, 64).get(random.nextInt(4));
            environment.capabilities = IommuCapabilities.windowed("pamu", 0x1000, most, true, 0, 0xf_ffff_ffffL);
            int windows = 1 << random.nextInt(Integer.numberOfTrailingZeros(most) + 1);
            long window = List.of(0x1000L, 0x4000L, 0x400_0000L).get(random.nextInt(3));
            if (random.nextInt(5) > 0) {
                environment.set(new Geometry(random.nextInt(2) * windows * window, windows * window), windows);
                for (int i = 0; i < windows; i++) {
                    if (random.nextDouble() < full) {
                        environment.mappings.add(new Mapping(environment.geometry.start() + i * window, null, 0,
                            random.nextBoolean() ? window : 0x1000, Access.READ));
                    }
                }
            }
        }
        int step = random.nextInt(4) == 0 ? 2 : 1;
        int banks = random.nextInt(6);
        for (int i = 0; i < banks; i++) {
            environment.bank(i * step, random.nextInt(12) == 0 ? 0x2000 : 0x1000);
        }
        return environment;
    }

    private void keepsItsPromise(MsiStrategy strategy, FakeEnvironment environment, MsiAssessment promised,
        boolean configured) {
        MsiSession session = strategy.bind(environment);
        if (environment.capabilities.windowed() && environment.windows == 0) {
            if (configured) {
                // Whether the user's geometry will hold the range is the user's; the default follows the geometry.
                session.close();
                return;
            }
            environment.set(new Geometry(0, environment.capabilities.maxWindows() * 0x2000L),
                environment.capabilities.maxWindows());
        }
        int operations = byUser(strategy.name(), session, environment, promised.windows());
        assertEquals(promised.userOperations(), operations, "operations counted");
        List<Integer> banks = new ArrayList<>(environment.banks.keySet());
        Collections.shuffle(banks, random);
        List<Integer> enabled = new ArrayList<>();
        for (int bank : banks) {
            boolean welcome = session.reachable().contains(bank);
            try {
                long iova = environment.use(session, bank);
                assertTrue(welcome, "bank " + bank + " was reachable");
                assertTrue(strategy.name().equals("reserved") ? iova == 0xfee00000L && environment.placements.isEmpty()
                    : environment.placements
                        .contains(new MsiPlacement(bank, iova, environment.banks.get(bank).length())),
                    "it is there");
                assertEquals(iova, environment.use(session, bank), "and stays there");
                enabled.add(bank);
            } catch (ErrnoException e) {
                assertEquals(PLACED_BY_USER.contains(strategy.name()) ? Errno.ENODEV : Errno.ENOSPC, e.errno(),
                    e.getMessage());
                // A bank without room is not welcome, unless there is no other.
                assertTrue(!welcome || enabled.isEmpty(), "bank " + bank + " was not reachable");
            }
        }
        assertEquals(strategy.name().equals("reserved") ? banks.size() : promised.windows(), enabled.size(),
            "banks promised");
        if (KEEPS.contains(strategy.name())) {
            keepsMemoryOut(session, environment);
        }
        enabled.forEach(bank -> environment.leave(session, bank));
        assertEquals(strategy.name().equals("reserved") ? 0 : promised.windows(), environment.placements.size(),
            "vectors are left");
        enabled.forEach(bank -> environment.leave(session, bank));
        assertEquals(List.of("reserved", "tail", "topdown").contains(strategy.name()) ? 0 : promised.windows(),
            environment.placements.size(), "no vector is left");
        hotPlug(strategy.name(), session, environment);
        session.close();
        assertEquals(List.of(), environment.placements);
    }

    /** {@return how many operations it took to do what the documentation says for that many banks} */
    private int byUser(String strategy, MsiSession session, FakeEnvironment environment, int banks) {
        List<Integer> indexes = List.copyOf(environment.banks.keySet());
        int operations = 0;
        if (List.of("bank", "topdown").contains(strategy)) {
            assertEquals(indexes.size(), session.call("GET_MSI_BANK_COUNT"));
            operations++;
        }
        if (!PLACED_BY_USER.contains(strategy)) {
            return operations;
        }
        for (int bank : indexes.subList(0, banks)) {
            long length = environment.banks.get(bank).length();
            List<Long> free = slots(environment).stream().filter(slot -> available(environment, slot)).toList();
            long iova = free.get(random.nextInt(free.size()));
            switch (strategy) {
                case "bank" -> session.call("MAP_MSI_BANK", bank, iova);
                case "flag" -> assertEquals(bank, session.call("MAP_DMA_MSI", iova, length));
                default -> {
                    session.call("MAP_DMA_FD", session.call("MMAP", session.call("GET_MSI_FD", bank)), iova);
                    operations += 2;
                }
            }
            operations++;
        }
        return operations;
    }

    private static void keepsMemoryOut(MsiSession session, FakeEnvironment environment) {
        environment.placements.forEach(
            one -> refused(Errno.EINVAL, "kept for MSI banks", () -> session.mapping(one.iova(), one.length())));
        // Memory from before the strategy came may lie in the window of a bank without room, or of an index there is no
        // bank of.
        if (environment.placements.size() == environment.banks.size()
            && environment.banks.lastKey() < environment.banks.size()) {
            environment.mappings.forEach(one -> session.mapping(one.iova(), one.length()));
        }
        // Where translation is paged a slot may be two pages.
        long page = environment.capabilities.windowed() ? 0 : 0x1000;
        assertTrue(slots(environment).stream().flatMap(slot -> Stream.of(slot, slot + page)).anyMatch(iova -> {
            try {
                session.mapping(iova, 0x1000);
                return true;
            } catch (ErrnoException e) {
                return false;
            }
        }), "there is room for memory");
    }

    private static void hotPlug(String strategy, MsiSession session, FakeEnvironment environment) {
        int bank = environment.banks.isEmpty() ? 0 : environment.banks.lastKey() + 1;
        environment.bank(bank, 0x1000);
        try {
            environment.use(session, bank);
            assertFalse(PLACED_BY_USER.contains(strategy), "it is the user's to map");
            environment.leave(session, bank);
        } catch (ErrnoException e) {
            if (PLACED_BY_USER.contains(strategy)) {
                assertEquals(Errno.ENODEV, e.errno(), e.getMessage());
            } else {
                assertEquals(Errno.ENOSPC, e.errno(), e.getMessage());
                assertTrue(!strategy.equals("topdown")
                    || slots(environment).stream().noneMatch(slot -> available(environment, slot)));
            }
        }
    }

    // What the strategies compute in one pass, by brute force.

    /** Every slot of a small aperture; of a large one the start and Linux's window. */
    private static List<Long> slots(FakeEnvironment environment) {
        long slot = slot(environment);
        if (environment.capabilities.windowed()) {
            return LongStream.range(0, environment.windows).map(i -> environment.geometry.start() + i * slot).boxed()
                .toList();
        }
        return LongStream.concat(LongStream.range(0, 64), LongStream.range(0x08000000 / slot, 0x08100000 / slot))
            .map(i -> i * slot)
            .filter(iova -> iova + slot - 1 <= environment.capabilities.apertureEnd()).boxed().toList();
    }

    private static long slot(FakeEnvironment environment) {
        return environment.capabilities.windowed() ? environment.window()
            : environment.banks.values().stream().mapToLong(MsiEnvironment.Bank::length).max().orElse(0x1000);
    }

    private static boolean available(FakeEnvironment environment, long iova) {
        return environment.free(iova, slot(environment)) && !reserved(environment, iova);
    }

    private static boolean reserved(FakeEnvironment environment, long iova) {
        return environment.capabilities.reserved().stream()
            .anyMatch(one -> iova <= one.end() && iova + slot(environment) - 1 >= one.start());
    }

    private static boolean isTrue(String reason, FakeEnvironment environment) {
        int banks = environment.banks.size();
        int span = banks == 0 ? 0 : environment.banks.lastKey() + 1;
        boolean windowed = environment.capabilities.windowed();
        int windows = environment.windows > 0 ? environment.windows : environment.capabilities.maxWindows();
        boolean doorbells = environment.capabilities.reserved().stream()
            .anyMatch(one -> one.kind() == ReservedRegion.Kind.MSI);
        List<Long> n = numbers(reason);
        String kind = reason.replaceAll("\\b(0x[0-9a-f]+|[0-9]+)\\b", "N");
        return switch (kind) {
            case "the interrupt controller has no MSI bank", "the interrupt controller has no doorbell" -> banks == 0;
            case "MSIs do not enter translation here, so no bank can be mapped" -> doorbells;
            case "MSIs are translated here like any write: no range is reserved for doorbells" -> !doorbells;
            case "translation is paged here: there are no last windows",
                "translation is paged here: there are no windows to go through from the top" -> !windowed;
            case "at most N windows leave none for memory beside N banks" ->
                environment.windows == 0 && n.equals(List.of((long) windows, (long) banks)) && windows <= banks;
            case "N windows leave none for memory beside N banks" ->
                environment.windows > 0 && n.equals(List.of((long) windows, (long) banks)) && windows <= banks;
            case "N windows leave none for memory beside the last N, one for each bank up to N" ->
                n.equals(List.of((long) windows, (long) span, span - 1L)) && windows <= span;
            case "MSI bank N has N bytes, a window only N" ->
            n.get(1) == environment.banks.get(n.get(0).intValue()).length()
                && n.get(2) == environment.window() && n.get(1) > n.get(2);
            case "none of the N windows is free of memory and reserved ranges; unmap some",
                "memory and reserved ranges leave no N bytes free in N..N; unmap some" ->
                slots(environment).stream().noneMatch(slot -> available(environment, slot));
            case "memory or a reserved range is in each bank's window among the last N; unmap it" ->
                environment.banks.keySet().stream().noneMatch(bank -> available(environment,
                    environment.geometry.start() + (windows - 1 - bank) * environment.window()));
            case "memory is mapped at iova N+N, inside N..N; unmap it" -> environment.mappings.stream()
                .anyMatch(one -> one.iova() == n.get(0) && one.length() == n.get(1))
                && n.get(0) <= n.get(3) && n.get(0) + n.get(1) - 1 >= n.get(2);
            case "no N bytes of N..N are inside the aperture N..N and outside of reserved ranges" ->
            slots(environment).stream()
                .noneMatch(slot -> slot >= n.get(1) && slot + n.get(0) - 1 <= n.get(2) && !reserved(environment, slot));
            case "N..N touches all there is of the aperture N..N and leaves nothing for memory" ->
            slots(environment).stream()
                .allMatch(slot -> slot <= n.get(1) && slot + slot(environment) - 1 >= n.get(0));
            default -> fail("unknown reason: " + kind);
        };
    }

    private static List<Long> numbers(String reason) {
        List<Long> numbers = new ArrayList<>();
        Matcher matcher = Pattern.compile("\\b0x([0-9a-f]+)|\\b([0-9]+)\\b").matcher(reason);
        while (matcher.find()) {
            numbers.add(
                matcher.group(1) != null ? Long.parseLong(matcher.group(1), 16) : Long.parseLong(matcher.group(2)));
        }
        return numbers;
    }
}
