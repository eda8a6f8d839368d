// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Random maps and unmaps against a sorted map of pages; the unit (with its IOTLB) and the tables must agree with it.
 */
class TranslationModelTest {
    private static final long PAGE = 4096;
    private static final long MIB2 = 2L << 20;

    /** A page's memory and access. */
    private record Leaf(long physical, int access) {
    }

    static Stream<Arguments> units() {
        return Stream.of(
            Arguments.of("3 levels", Bench.levels(3)),
            Arguments.of("4 levels", VtdSettings.DEFAULT),
            Arguments.of("5 levels", Bench.levels(5)),
            Arguments.of("caching mode", Bench.with(1 << 7, 0, 0, 0)),
            Arguments.of("registers, no page-selective invalidation", Bench.with(0, 1L << 39, 0, 0xa)),
            Arguments.of("MAMV 4, small IOTLB",
                new VtdSettings(Bench.with(4L << 48, 0x3fL << 48, 0, 0).capabilities(), 46, true, true, 64)));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("units")
    @DisplayName("the translation function is that of a map of pages, superpages and splits or not; all table memory "
        + "comes back")
    void model(String name, VtdSettings settings) {
        Random random = Bench.random("TranslationModelTest, " + name);
        Bench bench = new Bench(settings);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT);
        // Context table first, so that what is compared at the end is page tables only.
        IommuDomain warm = driver.open();
        warm.attach(Bench.at(0x10));
        warm.close();
        DmaBuffer contiguous = bench.machine.memory().allocate(1L << 30, 1L << 30, Layout.CONTIGUOUS);
        DmaBuffer scattered = bench.machine.memory().allocate(256 * PAGE, PAGE, Layout.SCATTERED);
        long available = bench.machine.memory().available();
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        TreeMap<Long, Leaf> model = new TreeMap<>();
        // A few neighbourhoods across table boundaries of every level.
        long[] places = {0, (1L << 30) - 2 * MIB2, (1L << 38) - 4 * MIB2, 0xfec00000L - MIB2};
        for (int step = 0; step < 1500; step++) {
            long place = places[random.nextInt(places.length)];
            long unit = random.nextInt(3) == 0 ? MIB2 : PAGE;
            long iova = place + random.nextInt(unit == MIB2 ? 5 : 2048) * unit;
            long length = unit * (1 + random.nextInt(unit == MIB2 ? 2 : 40));
            if (random.nextInt(10) < 6) {
                map(random, domain, model, iova, length, contiguous, scattered);
            } else {
                assertEquals(model.subMap(iova, iova + length).size() * PAGE, domain.unmap(iova, length),
                    "step " + step);
                model.subMap(iova, iova + length).clear();
            }
            for (int i = 0; i < 40; i++) {
                long at = (i < 20 ? iova + random.nextInt((int) (length + 8 * PAGE)) - 4 * PAGE
                    : place + random.nextInt(10 << 20)) & ~3L;
                check(bench, domain, model, at, step);
            }
        }
        for (long place : places) {
            for (long at = place; at < place + 10 * MIB2; at += PAGE) {
                check(bench, domain, model, at, -1);
            }
        }
        assertTrue(model.size() > 0);
        domain.close();
        assertEquals(available, bench.machine.memory().available());
    }

    private static void map(Random random, IommuDomain domain, TreeMap<Long, Leaf> model, long iova, long length,
        DmaBuffer contiguous,
            DmaBuffer scattered) {
        DmaBuffer buffer = length <= 64 * PAGE && random.nextBoolean() ? scattered : contiguous;
        long offset = random.nextInt((int) ((buffer.size() - length) / PAGE)) * PAGE;
        if (buffer == contiguous && random.nextBoolean()) {
            offset = offset & -MIB2 | iova & MIB2 - 1;
            offset = Math.min(offset, buffer.size() - length);
        }
        int access = 1 + random.nextInt(3);
        long from = offset;
        if (iova <= 0xfeefffffL && iova + length > 0xfee00000L) {
            assertEquals(Errno.EINVAL,
                assertThrows(ErrnoException.class, () -> domain.map(iova, buffer, from, length, access)).errno());
            return;
        }
        if (!model.subMap(iova, iova + length).isEmpty()) {
            assertEquals(Errno.EEXIST,
                assertThrows(ErrnoException.class, () -> domain.map(iova, buffer, from, length, access)).errno());
            return;
        }
        domain.map(iova, buffer, from, length, access);
        for (long done = 0; done < length; done += PAGE) {
            model.put(iova + done, new Leaf(buffer.physical(from + done), access));
        }
    }

    private static void check(Bench bench, IommuDomain domain, TreeMap<Long, Leaf> model, long iova, int step) {
        if (iova < 0 || iova >= 0xfee00000L && iova <= 0xfeefffffL) {
            return;
        }
        Map.Entry<Long, Leaf> floor = model.floorEntry(iova);
        Leaf leaf = floor == null || iova - floor.getKey() >= PAGE ? null : floor.getValue();
        for (int access = 1; access <= 2; access++) {
            long expected = leaf == null ? Refusal.UNMAPPED : (leaf.access & access) == 0 ? Refusal.DENIED
                : leaf.physical + (iova & PAGE - 1);
            int kind = access;
            assertEquals(expected, bench.units.get(0).translate(0x10, iova, 4, access),
                () -> String.format("unit, step %d, iova 0x%x %s", step, iova, Access.name(kind)));
            assertEquals(expected, domain.lookup(iova, access),
                () -> String.format("tables, step %d, iova 0x%x", step, iova));
        }
    }
}
