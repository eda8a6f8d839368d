// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.qemu.VtdTwins.Kind;
import machine.qemu.process.Installed;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Our VT-d unit against QEMU's: random tables, commands and DMA on both; registers, faults, memory and delivered interrupts compared
 * after each step. A fixed seed, and one that is new each time and can be given with {@code -Dgantry.seed}.
 */
@Installed
@Timeout(300)
class VtdDifferentialTest {
    private static final long FIXED = 1;
    private static final long FRESH = Long.getLong("gantry.seed", System.nanoTime() & 0xffff_ffffL);
    private static final int STEPS = 1000;
    private static final int LENGTH = 200;
    private static final int TRIES = 300;

    /** Pages that devices speak to: neighbours, ends of tables, superpages, the end of 39 bits, beyond 39 and 48 bits. */
    private static final long[] PAGES = {0, 0x1000, 0x2000, 0x3000, 0x7000, 0x1f_f000, 0x20_0000, 0x20_3000, 0x40_0000, 0x40_5000, 0x4020_0000L,
        0x4020_1000L, 0x7f_ffff_f000L, 1L << 39, 1L << 48};
    /** For each page table its level, and the entries that lead to the pages. Two trees: 0, 1, 2, 3 and 4; 5, 6, 7, 8. */
    private static final int[] LEVELS = {4, 3, 2, 1, 1, 4, 3, 2, 1};
    private static final int[][] INDICES = {{0, 1}, {0, 1, 511}, {0, 0, 1, 2}, {0, 1, 2, 3, 4, 7, 8, 511}, {0, 1, 3, 4, 5},
        {0, 1}, {0, 1}, {0, 0, 1, 2}, {0, 1, 2, 3, 7, 511}};
    private static final int[] NEXT = {1, 2, 3, -1, -1, 6, 7, 8, -1};

    @DisplayName("VT-d: a fixed seed looks the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fixed(Kind kind) {
        random(kind, FIXED);
    }

    @DisplayName("VT-d: a new seed looks the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fresh(Kind kind) {
        System.out.println("VtdDifferentialTest, " + kind + ": -Dgantry.seed=" + FRESH);
        random(kind, FRESH);
    }

    private static void random(Kind kind, long seed) {
        int taken = 0;
        for (int sequence = 0; taken < STEPS; sequence++) {
            List<VtdStep> list = sequence(kind, new Random(seed * 1_000_003 + 31 * kind.ordinal() + 1000 * sequence));
            VtdTwins.Result result = VtdTwins.run(kind, list);
            taken += result.taken();
            if (result.difference() != null) {
                report(kind, list, "seed " + seed + ", sequence " + sequence, result.difference());
            }
        }
    }

    private static void report(Kind kind, List<VtdStep> list, String where, String first) {
        List<VtdStep> least = Minimiser.minimise(list, part -> VtdTwins.run(kind, part).difference() != null, TRIES);
        fail(String.format("%s, %s: %s%n%d of its %d steps suffice, %s:%n%s", kind, where, first, least.size(), list.size(),
            VtdTwins.run(kind, least).difference(), paste(kind, least)));
    }

    private static String paste(Kind kind, List<VtdStep> steps) {
        StringBuilder text = new StringBuilder("        same(Kind." + kind);
        steps.forEach(step -> text.append(",\n            ").append("VtdStep.").append(step));
        return text.append(");").toString();
    }

    // ---- Sequences. ----

    private static List<VtdStep> sequence(Kind kind, Random random) {
        List<VtdStep> steps = new ArrayList<>();
        for (int table = 0; table < LEVELS.length; table++) {
            for (int index : INDICES[table]) {
                steps.add(VtdStep.pte(table, index, good(random, table, index)));
            }
        }
        steps.add(VtdStep.root(0, VtdTwins.CONTEXTS | 1, 0));
        for (int device = 0; device < VtdTwins.SOURCES.length; device++) {
            steps.add(goodContext(kind, random, device));
        }
        steps.add(VtdStep.rtaddr(0));
        cleanse(steps);
        steps.add(VtdStep.te(1));
        if (random.nextBoolean()) {
            steps.add(VtdStep.qie(1));
            steps.add(VtdStep.irta(7));
            steps.add(VtdStep.iec(0, 0, 0));
            steps.add(VtdStep.ire(1));
        }
        int setUp = steps.size();
        while (steps.size() < setUp + LENGTH) {
            step(kind, random, steps);
        }
        return steps;
    }

    private static void cleanse(List<VtdStep> steps) {
        steps.add(VtdStep.ctxInv(1, 0, 0, 0));
        steps.add(VtdStep.tlbInv(1, 0, 0, 0));
    }

    private static void step(Kind kind, Random random, List<VtdStep> steps) {
        int device = random.nextInt(VtdTwins.SOURCES.length);
        int dice = random.nextInt(1000);
        if (dice < 380) {
            long iova = iova(random);
            int length = 1 + random.nextInt(random.nextBoolean() ? 64 : 1000);
            int place = random.nextInt(1000);
            steps.add(random.nextInt(3) == 0 ? VtdStep.read(device, iova, length, place) : VtdStep.write(device, iova, length, place));
            if (random.nextInt(3) == 0) {
                steps.add(VtdStep.clear(3));
            }
        } else if (dice < 560) {
            int table = random.nextInt(LEVELS.length);
            int index = INDICES[table][random.nextInt(INDICES[table].length)];
            steps.add(VtdStep.pte(table, index, random.nextInt(3) == 0 ? good(random, table, index) : entry(random, table)));
            invalidate(random, steps);
        } else if (dice < 640) {
            steps.add(random.nextInt(3) == 0 ? goodContext(kind, random, device) : context(kind, random, device));
            invalidateContext(random, steps, device);
        } else if (dice < 655) {
            steps.add(VtdStep.root(random.nextInt(2), root(random), random.nextInt(20) == 0 ? 1L << random.nextInt(64) : 0));
            cleanse(steps);
        } else if (dice < 665) {
            steps.add(VtdStep.rtaddr(random.nextInt(3) == 0 ? 1 : 0));
            cleanse(steps);
        } else if (dice < 675) {
            steps.add(VtdStep.te(random.nextInt(2)));
        } else if (dice < 715) {
            invalidate(random, steps);
        } else if (dice < 730) {
            steps.add(VtdStep.ctxInv(random.nextInt(4), domain(random), VtdTwins.SOURCES[device], random.nextInt(4)));
        } else if (dice < 750) {
            cleanse(steps);
        } else if (dice < 765) {
            steps.add(VtdStep.qie(random.nextInt(4) == 0 ? 0 : 1));
        } else if (dice < 780) {
            steps.add(descriptor(random));
            steps.add(VtdStep.mend());
        } else if (dice < 800) {
            steps.add(VtdStep.await(random.nextInt(4) == 0 ? 0 : 1, random.nextInt() & 0xffff_ffffL));
        } else if (dice < 825) {
            steps.add(VtdStep.stale(device, PAGES[random.nextInt(PAGES.length)], random.nextInt(VtdTwins.FRAME_COUNT)));
            invalidate(random, steps);
        } else if (dice < 850) {
            steps.add(VtdStep.msi(device, iova(random) & -4, random.nextInt(0x10000)));
        } else if (dice < 900) {
            steps.add(interrupt(random, device));
        } else if (dice < 940) {
            steps.add(VtdStep.irte(random.nextInt(20), remapping(random), verification(random)));
            if (random.nextInt(4) > 0) {
                steps.add(random.nextBoolean() ? VtdStep.iec(0, 0, 0) : VtdStep.iec(1, random.nextInt(20), random.nextInt(6)));
            }
        } else if (dice < 950) {
            steps.add(VtdStep.irta(random.nextInt(4) == 0 ? 2 : 7));
            steps.add(VtdStep.iec(0, 0, 0));
        } else if (dice < 960) {
            steps.add(VtdStep.ire(random.nextInt(4) == 0 ? 0 : 1));
        } else if (dice < 975) {
            steps.add(VtdStep.event(random.nextInt(2), random.nextInt(2), 0x20 + random.nextInt(0xd0)));
        } else if (dice < 985) {
            steps.add(VtdStep.ics());
        } else {
            steps.add(VtdStep.clear(1 + random.nextInt(3)));
        }
    }

    private static long iova(Random random) {
        int offset = random.nextInt(4) == 0 ? 0xfff - random.nextInt(64) : random.nextInt(4096);
        return PAGES[random.nextInt(PAGES.length)] + offset;
    }

    /** An entry that leads on, or to a frame. */
    private static long good(Random random, int table, int index) {
        return NEXT[table] < 0 ? frame(random) | 3 : tableAt(index == 1 && table == 2 ? 4 : NEXT[table]) | 3;
    }

    private static long entry(Random random, int table) {
        long value = NEXT[table] < 0 || random.nextInt(12) == 0 ? frame(random) : tableAt(NEXT[table]);
        int level = LEVELS[table];
        if (level > 1 && random.nextInt(level == 4 ? 12 : 3) == 0) {
            value = 0x80 | (random.nextInt(5) == 0 ? frame(random) : level == 2 ? VtdTwins.FRAMES : 0);
        } else if (level == 1 && random.nextInt(8) == 0) {
            value |= 0x80;
        }
        if (random.nextInt(20) == 0) {
            value = value & 0xfff | (random.nextBoolean() ? VtdTwins.NOWHERE : tableAt(random.nextInt(LEVELS.length)));
        }
        int dice = random.nextInt(10);
        value |= dice < 5 ? 3 : dice < 7 ? 1 : dice < 9 ? 2 : 0;
        if (random.nextInt(4) == 0) {
            // Ignored.
            value |= random.nextLong() & 0xbff0_0000_0000_077cL;
        }
        if (random.nextInt(8) == 0) {
            // Reserved, in one kind of unit or the other.
            value |= 1L << new int[] {11, 62, 39, 40, 45, 47, 48, 51}[random.nextInt(8)];
        }
        return value;
    }

    private static long frame(Random random) {
        return VtdTwins.FRAMES + 0x1000L * random.nextInt(VtdTwins.FRAME_COUNT);
    }

    private static long tableAt(int table) {
        return VtdTwins.TABLES + 0x1000L * table;
    }

    private static boolean wide(Kind kind) {
        return kind == Kind.WIDE || kind == Kind.DEVICE_TLB;
    }

    private static VtdStep goodContext(Kind kind, Random random, int device) {
        boolean four = wide(kind) && random.nextBoolean();
        int table = (four ? 0 : 1) + 5 * random.nextInt(2);
        int depth = four ? 2 : 1;
        return VtdStep.context(0, device, tableAt(table) | 1, depth | (long) domain(table, depth) << 8);
    }

    private static VtdStep context(Kind kind, Random random, int device) {
        int table = random.nextInt(8) == 0 ? random.nextInt(LEVELS.length) : (wide(kind) ? random.nextInt(2) : 1) + 5 * random.nextInt(2);
        int depth = random.nextInt(8) == 0 ? random.nextInt(8) : table % 5 == 0 ? 2 : 1;
        int type = random.nextInt(3) > 0 ? 0 : random.nextInt(4);
        long domain = type == 2 ? 0x4242 : domain(table, depth);
        long low = tableAt(table) | (random.nextInt(8) == 0 ? 0 : 1) | (random.nextInt(4) == 0 ? 2 : 0) | type << 2;
        long high = depth | random.nextInt(16) << 3 | domain << 8;
        int dice = random.nextInt(24);
        if (dice == 0) {
            low |= 1L << new int[] {4, 7, 11, 39, 46, 48, 63}[random.nextInt(7)];
        } else if (dice == 1) {
            high |= 1L << new int[] {7, 24, 40, 63}[random.nextInt(4)];
        } else if (dice == 2) {
            low = low & 0xfff | VtdTwins.NOWHERE;
        }
        return VtdStep.context(random.nextInt(12) == 0 ? 1 : 0, device, low, high);
    }

    /** All context entries of a domain have the same tables. */
    private static int domain(int table, int depth) {
        return table * 0x1f01 + depth * 0x0110;
    }

    private static int domain(Random random) {
        int table = random.nextInt(2) + 5 * random.nextInt(2);
        return domain(table, table % 5 == 0 ? 2 : 1);
    }

    private static long root(Random random) {
        int dice = random.nextInt(16);
        long low = (dice == 0 ? VtdTwins.NOWHERE : VtdTwins.CONTEXTS + (dice == 1 ? 0x1000 : 0)) | (dice == 2 ? 0 : 1);
        return dice == 3 ? low | 1L << new int[] {1, 5, 11, 39, 47, 63}[random.nextInt(6)] : low;
    }

    private static void invalidate(Random random, List<VtdStep> steps) {
        int dice = random.nextInt(10);
        if (dice < 3) {
            steps.add(VtdStep.tlbInv(1, 0, 0, 0));
        } else if (dice < 5) {
            steps.add(VtdStep.tlbInv(2, domain(random), 0, 0));
        } else if (dice < 9) {
            long page = PAGES[random.nextInt(PAGES.length - 2)];
            int mask = new int[] {0, 1, 3, 9, 9, 10, 13, 18, 18, 19}[random.nextInt(10)];
            steps.add(VtdStep.tlbInv(3, domain(random), page & -1L << 12 + mask, mask));
        } else {
            steps.add(VtdStep.tlbInv(random.nextInt(4), domain(random), PAGES[random.nextInt(PAGES.length)], 0));
        }
    }

    private static void invalidateContext(Random random, List<VtdStep> steps, int device) {
        if (random.nextInt(8) == 0) {
            return;
        }
        int source = VtdTwins.SOURCES[device];
        int mask = random.nextInt(4);
        steps.add(random.nextInt(3) == 0 ? VtdStep.ctxInv(1 + random.nextInt(2), domain(random), 0, 0)
            : VtdStep.ctxInv(3, domain(random), random.nextInt(4) == 0 ? source ^ 1 : source, mask));
        steps.add(random.nextInt(3) == 0 ? VtdStep.tlbInv(2, domain(random), 0, 0) : VtdStep.tlbInv(1, 0, 0, 0));
    }

    /** One that is malformed, or of a type that does not exist. */
    private static VtdStep descriptor(Random random) {
        long high = random.nextInt(4) == 0 ? 1L << random.nextInt(64) : 0;
        return switch (random.nextInt(8)) {
            case 0 -> VtdStep.descriptor(random.nextLong() & -16 | 8 + random.nextInt(8), high);
            case 1 -> VtdStep.descriptor(0, 0);
            case 2 -> VtdStep.descriptor(1, 0);
            case 3 -> VtdStep.descriptor(1 | 1 << 4 | 1L << new int[] {6, 9, 15, 50, 63}[random.nextInt(5)], high);
            case 4 -> VtdStep.descriptor(2, 0);
            case 5 -> VtdStep.descriptor(2 | 1 << 4 | 1L << new int[] {8, 12, 15, 32, 63}[random.nextInt(5)], 0);
            case 6 -> VtdStep.descriptor(2 | 3 << 4, 1L << 7 + random.nextInt(5));
            default -> VtdStep.descriptor(5 | 1 << 5 | 1L << 7 + random.nextInt(25), 0x14_1000);
        };
    }

    private static VtdStep interrupt(Random random, int device) {
        if (random.nextInt(6) == 0) {
            // Compatibility format, to this core or another.
            return VtdStep.msi(device, 0xfee0_0000L | random.nextInt(3) / 2 << 12 | random.nextInt(4) << 2 & 8, 0x20 + random.nextInt(0xd0));
        }
        int index = random.nextInt(24);
        boolean handle = random.nextInt(3) == 0;
        int part = handle ? random.nextInt(index + 1) : 0;
        long address = 0xfee0_0010L | (long) (index - part) << 5 | (handle ? 8 : 0) | (random.nextInt(30) == 0 ? 4 : 0);
        // Without remapping this is a message, too: fixed or lowest priority.
        return VtdStep.msi(device, address, handle ? part : 0x20 + random.nextInt(0xd0) | random.nextInt(2) << 8 | random.nextInt(4) << 14);
    }

    private static long remapping(Random random) {
        long low = (random.nextInt(8) == 0 ? 0 : 1) | (random.nextInt(4) == 0 ? 2 : 0) | (random.nextInt(8) == 0 ? 4 : 0)
            | random.nextInt(2) << 3 | (random.nextInt(3) == 0 ? 0x10 : 0) | random.nextInt(2) << 5 | random.nextInt(16) << 8
            | (0x20 + random.nextInt(0xd0)) << 16;
        low |= random.nextInt(5) == 0 ? (long) random.nextInt(256) << 40 : random.nextInt(8) == 0 ? 0xffL << 40 : 0;
        return random.nextInt(10) == 0 ? low | 1L << new int[] {12, 13, 14, 24, 31}[random.nextInt(5)] : low;
    }

    private static long verification(Random random) {
        int source = VtdTwins.SOURCES[random.nextInt(VtdTwins.SOURCES.length)] ^ (random.nextInt(4) == 0 ? 1 << random.nextInt(4) : 0);
        int type = random.nextInt(4);
        // V7: QEMU's has first and last bus swapped; one bus alone is the same.
        long high = (type == 2 ? random.nextInt(3) / 2 * 0x0101 : source) | random.nextInt(4) << 16 | type << 18;
        return random.nextInt(12) == 0 ? high | 1L << 20 + random.nextInt(44) : high;
    }

    @SuppressWarnings("unused")
    private static void same(Kind kind, VtdStep... steps) {
        String difference = VtdTwins.run(kind, List.of(steps)).difference();
        if (difference != null) {
            fail(kind + ": " + difference);
        }
    }
}
