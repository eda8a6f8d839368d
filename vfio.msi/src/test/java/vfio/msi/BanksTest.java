// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Mapping;

class BanksTest {
    private static final int BYTES = 6;
    private static final int LIMIT = 3;

    private static boolean inside(long iova, long start, long end) {
        return Long.compareUnsigned(iova, start) >= 0 && Long.compareUnsigned(iova, end) <= 0;
    }

    /** {@return every range of a small aperture, and a byte more on either side where there is one} */
    private static List<Banks.Range> ranges(long base) {
        List<Banks.Range> all = new ArrayList<>();
        for (long start = base - 1; start != base + BYTES + 1; start++) {
            for (long end = start; end != base + BYTES + 1; end++) {
                if (Long.compareUnsigned(start, end) <= 0) {
                    all.add(new Banks.Range(start, end));
                }
            }
        }
        return all;
    }

    private static Mapping memory(Banks.Range range) {
        return new Mapping(range.start(), null, 0, range.end() - range.start() + 1, Access.READ);
    }

    private static List<Long> slotsOneByOne(long base, int slot, Banks.Range range, Banks.Range first,
        Banks.Range second) {
        List<Long> free = new ArrayList<>();
        for (int i = 0; i < BYTES / slot && free.size() < LIMIT; i++) {
            long start = base + (long) i * slot;
            boolean taken = false;
            for (long at = start; at != start + slot; at++) {
                taken |= !inside(at, range.start(), range.end()) || inside(at, first.start(), first.end())
                    || inside(at, second.start(), second.end());
            }
            if (!taken) {
                free.add(start);
            }
        }
        return free;
    }

    @Test
    @DisplayName("free slots: whole, in aperture and range, untouched, ascending, up to a limit: every small case, "
        + "also at the last address")
    void slots() {
        for (long base : new long[] {41, -BYTES}) {
            List<Banks.Range> all = ranges(base);
            for (int slot = 1; slot <= 3; slot++) {
                FakeEnvironment environment = FakeEnvironment.windowed(0, 1);
                environment.set(new Geometry(base, BYTES), BYTES / slot);
                for (Banks.Range first : all) {
                    for (Banks.Range second : all) {
                        if (second.start() == second.end() && Long.compareUnsigned(second.start(), first.start()) > 0) {
                            environment.mappings.clear();
                            environment.mappings.add(memory(first));
                            environment.mappings.add(memory(second));
                            for (Banks.Range range : all) {
                                assertEquals(slotsOneByOne(base, slot, range, first, second),
                                    new Banks(environment).withoutMemory(range, LIMIT),
                                    () -> range + " beside " + environment.mappings);
                            }
                        }
                    }
                }
            }
        }
    }

    @Test
    @DisplayName("a range touches what has its first or its last byte, and not what ends before or begins behind it")
    void touches() {
        Banks.Range range = new Banks.Range(0x1000, -0x1001L);
        assertTrue(range.touches(0xfff, 2));
        assertFalse(range.touches(0xfff, 1));
        assertTrue(range.touches(-0x1001L, 1));
        assertFalse(range.touches(-0x1000L, 0x1000));
    }
}
