// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.qemu.VtdTwins.Kind;

/**
 * Makes random steps for {@link VtdTwins}. A sequence keeps to a few pages and to their tables, so that what is cached
 * is met again, and most of what it changes it invalidates, so that devices may speak.
 */
final class VtdSequence {
    /**
     * Pages that devices speak to: neighbours, ends of tables, superpages, the end of 39 bits; in a wide unit the first
     * page after it.
     */
    private static final long[] PAGES = {0, 0x1000, 0x2000, 0x3000, 0x7000, 0x1f_f000, 0x20_0000, 0x20_3000, 0x40_0000,
        0x40_5000, 0x4020_0000L, 0x4020_1000L, 0x7f_ffff_f000L, 1L << 39};
    private static final int FOCUS = 5;
    /** For each page table its level. Two trees: 0, 1, 2, 3 and 4 for addresses from 2 MiB on; 5, 6, 7, 8. */
    private static final int[] LEVELS = {4, 3, 2, 1, 1, 4, 3, 2, 1};
    private static final int[] NEXT = {1, 2, 3, -1, -1, 6, 7, 8, -1};
    private static final int TREE = 5;
    private static final int UNUSED_DOMAIN = 0x5555;
    private static final int PASSING_DOMAIN = 0x4242;
    private static final long ADDRESS = 0x000f_ffff_ffff_f000L;

    private final Kind kind;
    private final Random random;
    private final List<VtdStep> steps = new ArrayList<>();
    private final long[] pages = new long[FOCUS];

    VtdSequence(Kind kind, Random random) {
        this.kind = kind;
        this.random = random;
        for (int i = 0; i < FOCUS; i++) {
            pages[i] = PAGES[random.nextInt(wide() ? PAGES.length : PAGES.length - 1)];
        }
    }

    /** {@return what sets everything up, and so many steps, or a few more} */
    List<VtdStep> steps(int length) {
        for (int tree = 0; tree <= TREE; tree += TREE) {
            for (long page : pages) {
                for (int level = 4; level > 0; level--) {
                    int table = table(tree, level, page);
                    steps.add(VtdStep.pte(table, index(level, page), good(table, page)));
                }
            }
        }
        steps.add(goodRoot(0));
        steps.add(goodRoot(1));
        for (int device = 0; device < VtdTwins.SOURCES.length; device++) {
            steps.add(goodContext(device));
        }
        steps.add(VtdStep.rtaddr(0));
        cleanse();
        steps.add(VtdStep.te(1));
        if (random.nextBoolean()) {
            steps.add(VtdStep.qie(1));
            steps.add(VtdStep.irta(7));
            steps.add(VtdStep.iec(0, 0, 0));
            steps.add(VtdStep.ire(1));
        }
        int setUp = steps.size();
        while (steps.size() < setUp + length) {
            step();
        }
        return steps;
    }

    private void cleanse() {
        steps.add(VtdStep.ctxInv(1, 0, 0, 0));
        steps.add(VtdStep.tlbInv(1, 0, 0, 0));
    }

    private void step() {
        int device = random.nextInt(VtdTwins.SOURCES.length);
        int dice = random.nextInt(1000);
        if (dice < 430) {
            access(device);
        } else if (dice < 630) {
            changeTable();
        } else if (dice < 680) {
            changeContext(device);
        } else if (dice < 688) {
            changeRoot(device);
        } else if (dice < 694) {
            steps.add(VtdStep.te(0));
            access(device);
            steps.add(VtdStep.te(1));
        } else if (dice < 710) {
            invalidate(domain(), pages[random.nextInt(FOCUS)], random.nextInt(4));
        } else if (dice < 720) {
            steps.add(VtdStep.tlbInv(random.nextInt(4), domain(), pages[random.nextInt(FOCUS)], 0));
            steps.add(VtdStep.mend());
            steps.add(VtdStep.ctxInv(random.nextInt(4), domain(), VtdTwins.SOURCES[device], random.nextInt(4)));
            steps.add(VtdStep.mend());
        } else if (dice < 740) {
            cleanse();
        } else if (dice < 755) {
            steps.add(VtdStep.qie(random.nextInt(3) == 0 ? 0 : 1));
        } else if (dice < 775) {
            steps.add(kind == Kind.DEVICE_TLB && random.nextInt(3) == 0 ? deviceTlb() : descriptor());
            steps.add(VtdStep.mend());
        } else if (dice < 790) {
            steps.add(VtdStep.await(random.nextInt(4) == 0 ? 0 : 1, random.nextInt() & 0xffff_ffffL));
        } else if (dice < 815) {
            long page = pages[random.nextInt(FOCUS)];
            steps.add(VtdStep.stale(device, page, random.nextInt(VtdTwins.FRAME_COUNT)));
            for (int tree = 0; tree <= TREE; tree += TREE) {
                invalidate(domain(tree + 1, 1), page, 1);
            }
        } else if (dice < 835) {
            steps.add(VtdStep.msi(device, iova() & -4, random.nextInt(0x10000)));
        } else {
            interrupts(device, dice);
        }
    }

    private void interrupts(int device, int dice) {
        if (dice < 890) {
            steps.add(interrupt(device));
        } else if (dice < 935) {
            int index = random.nextInt(20);
            steps.add(VtdStep.irte(index, remapping(), verification()));
            if (random.nextInt(4) > 0) {
                int mask = random.nextInt(5);
                steps.add(random.nextBoolean() ? VtdStep.iec(0, 0, 0) : VtdStep.iec(1, index >> mask << mask, mask));
            }
        } else if (dice < 945) {
            steps.add(VtdStep.irta(random.nextInt(4) == 0 ? 2 : 7));
            steps.add(VtdStep.iec(0, 0, 0));
        } else if (dice < 955) {
            steps.add(VtdStep.ire(random.nextInt(4) == 0 ? 0 : 1));
        } else if (dice < 970) {
            steps.add(VtdStep.event(random.nextInt(2), random.nextInt(2), 0x20 + random.nextInt(0xd0)));
        } else if (dice < 980) {
            steps.add(VtdStep.ics());
        } else {
            steps.add(VtdStep.clear(1 + random.nextInt(3)));
        }
    }

    // ---- Devices. ----

    private void access(int device) {
        long iova = iova();
        boolean reads = random.nextInt(5) < 2;
        access(device, iova, reads);
        if (random.nextInt(3) == 0) {
            // Where it is cached now, the other way.
            access(random.nextInt(3) == 0 ? random.nextInt(VtdTwins.SOURCES.length) : device,
                iova & -4096 | random.nextInt(4096), !reads);
        }
        if (random.nextInt(3) == 0) {
            steps.add(VtdStep.clear(3));
        }
    }

    private void access(int device, long iova, boolean reads) {
        int length = 1 + random.nextInt(random.nextBoolean() ? 64 : 1000);
        int place = random.nextInt(1000);
        steps.add(reads ? VtdStep.read(device, iova, length, place) : VtdStep.write(device, iova, length, place));
    }

    private long iova() {
        int offset = random.nextInt(4) == 0 ? 0xfff - random.nextInt(64) : random.nextInt(4096);
        if (random.nextInt(40) == 0) {
            return offset + (1L << (random.nextBoolean() ? 39 : 48));
        }
        return pages[random.nextInt(FOCUS)] + offset;
    }

    // ---- Page tables. ----

    private static int index(int level, long page) {
        return (int) (page >>> 3 + 9 * level & 0x1ff);
    }

    private static int table(int tree, int level, long page) {
        return level > 1 ? tree + 4 - level : tree == 0 && page >= 0x20_0000 ? 4 : tree + 3;
    }

    private void changeTable() {
        long page = pages[random.nextInt(FOCUS)];
        int tree = TREE * random.nextInt(2);
        int dice = random.nextInt(10);
        int level = dice < 4 ? 1 : dice < 7 ? 2 : dice < 9 ? 3 : 4;
        int table = table(tree, level, page);
        steps.add(
            VtdStep.pte(table, index(level, page), random.nextInt(5) < 2 ? good(table, page) : entry(table, page)));
        if (random.nextInt(6) > 0) {
            int top = wide() && random.nextBoolean() ? 0 : 1;
            invalidate(domain(tree + top, 2 - top), page, level);
        }
    }

    /** An entry that leads on, or to a frame. */
    private long good(int table, long page) {
        return (NEXT[table] < 0 ? frame() : next(table, page)) | 3;
    }

    private static long next(int table, long page) {
        return tableAt(LEVELS[table] == 2 ? table(table - table % TREE, 1, page) : NEXT[table]);
    }

    private long entry(int table, long page) {
        int level = LEVELS[table];
        long value = level == 1 || random.nextInt(16) == 0 ? frame() : next(table, page);
        if (level > 1 && random.nextInt(level == 4 ? 12 : 3) == 0) {
            value = 0x80 | (random.nextInt(4) == 0 ? frame() : level == 2 ? VtdTwins.FRAMES : 0);
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
        if (random.nextInt(10) == 0) {
            // Reserved, in one kind of unit or the other.
            value |= 1L << new int[] {11, 62, 39, 40, 45, 47, 48, 51}[random.nextInt(8)];
        }
        return value;
    }

    private long frame() {
        return VtdTwins.FRAMES + 0x1000L * random.nextInt(VtdTwins.FRAME_COUNT);
    }

    private static long tableAt(int table) {
        return VtdTwins.TABLES + 0x1000L * table;
    }

    /** @param level of the entry that has changed: a page alone is told with a mask for it */
    private void invalidate(int domain, long page, int level) {
        int dice = random.nextInt(10);
        if (dice < 2) {
            steps.add(VtdStep.tlbInv(1, 0, 0, 0));
        } else if (dice < 4) {
            steps.add(VtdStep.tlbInv(2, random.nextInt(6) == 0 ? domain() : domain, 0, 0));
        } else {
            int least = Math.max(0, 9 * (Math.min(level, 3) - 1));
            int mask = random.nextInt(12) == 0 ? 19
                : random.nextInt(3) == 0 ? least : Math.min(18, least + random.nextInt(5));
            steps.add(VtdStep.tlbInv(3, domain, page & -1L << 12 + mask, mask));
            if (mask > 18) {
                // Too much: ignored by register, an error by queue.
                steps.add(VtdStep.mend());
            }
        }
    }

    // ---- Root and context entries. ----

    private boolean wide() {
        return kind == Kind.WIDE || kind == Kind.DEVICE_TLB;
    }

    private VtdStep goodContext(int device) {
        int depth = wide() && random.nextBoolean() ? 2 : 1;
        int table = 2 - depth + (random.nextInt(3) == 0 ? TREE : 0);
        return VtdStep.context(0, device, tableAt(table) | 1, depth | (long) domain(table, depth) << 8);
    }

    private VtdStep context(int device) {
        int table = random.nextInt(8) == 0 ? random.nextInt(LEVELS.length)
            : (wide() ? random.nextInt(2) : 1) + TREE * random.nextInt(2);
        int depth = random.nextInt(8) == 0 ? random.nextInt(8) : table % TREE == 0 ? 2 : 1;
        int type = random.nextInt(3) > 0 ? 0 : random.nextInt(4);
        long low = tableAt(table) | (random.nextInt(8) == 0 ? 0 : 1) | (random.nextInt(4) == 0 ? 2 : 0) | type << 2;
        long high = depth | random.nextInt(16) << 3;
        int dice = random.nextInt(24);
        if (dice == 0) {
            low |= 1L << new int[] {4, 7, 11, 39, 46, 48, 63}[random.nextInt(7)];
        } else if (dice == 1) {
            high |= 1L << new int[] {7, 24, 40, 63}[random.nextInt(4)];
        } else if (dice == 2) {
            low = low & 0xfff | VtdTwins.NOWHERE;
        }
        // All context entries of a domain have the same tables.
        int domain = type == 2 ? PASSING_DOMAIN
            : (low & ADDRESS) == tableAt(table) ? domain(table, depth) : UNUSED_DOMAIN;
        return VtdStep.context(random.nextInt(12) == 0 ? 1 : 0, device, low, high | domain << 8);
    }

    private static int domain(int table, int depth) {
        return table * 0x1f01 + depth * 0x0110;
    }

    private int domain() {
        int top = wide() && random.nextBoolean() ? 0 : 1;
        return domain(top + TREE * random.nextInt(2), 2 - top);
    }

    /** What is wrong with a context is seen once or twice, then it is mended as a rule. */
    private void changeContext(int device) {
        steps.add(random.nextInt(4) == 0 ? goodContext(device) : context(device));
        if (random.nextInt(8) == 0) {
            return;
        }
        invalidateContext(device);
        access(device);
        access(device);
        if (random.nextInt(4) > 0) {
            steps.add(goodContext(device));
            invalidateContext(device);
        }
    }

    private static VtdStep goodRoot(int table) {
        return VtdStep.root(table, VtdTwins.CONTEXTS | 1, 0);
    }

    private void changeRoot(int device) {
        int table = random.nextInt(2);
        steps.add(VtdStep.root(table, root(), random.nextInt(12) == 0 ? 1L << random.nextInt(64) : 0));
        steps.add(VtdStep.rtaddr(table));
        cleanse();
        steps.add(VtdStep.clear(3));
        access(device);
        steps.add(goodRoot(table));
        cleanse();
    }

    private void invalidateContext(int device) {
        int source = VtdTwins.SOURCES[device] ^ (random.nextBoolean() ? 0 : 2 * random.nextInt(3));
        steps.add(random.nextInt(3) == 0 ? VtdStep.ctxInv(1 + random.nextInt(2), domain(), 0, 0)
            : VtdStep.ctxInv(3, domain(), source, random.nextInt(4)));
        steps.add(random.nextInt(3) == 0 ? VtdStep.tlbInv(2, domain(), 0, 0) : VtdStep.tlbInv(1, 0, 0, 0));
    }

    private long root() {
        int dice = random.nextInt(16);
        long low = (dice == 0 ? VtdTwins.NOWHERE : VtdTwins.CONTEXTS + (dice == 1 ? 0x1000 : 0)) | (dice == 2 ? 0 : 1);
        return dice == 3 ? low | 1L << new int[] {1, 5, 11, 39, 47, 63}[random.nextInt(6)] : low;
    }

    // ---- Descriptors. ----

    /** One that is malformed, or of a type that does not exist. */
    private VtdStep descriptor() {
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

    /** An invalidation of a device's TLB, half of them with a reserved bit. */
    private VtdStep deviceTlb() {
        long low = 3 | random.nextInt(32) << 16 | (long) VtdTwins.SOURCES[0] << 32;
        long high = (long) random.nextInt(1 << 20) << 12 | random.nextInt(2);
        return switch (random.nextInt(4)) {
            case 0 -> VtdStep.descriptor(low | 1L << new int[] {4, 9, 15, 21, 31, 48, 63}[random.nextInt(7)], high);
            case 1 -> VtdStep.descriptor(low, high | 1L << 1 + random.nextInt(11));
            default -> VtdStep.descriptor(low, high);
        };
    }

    // ---- Interrupts. ----

    private VtdStep interrupt(int device) {
        if (random.nextInt(6) == 0) {
            // Compatibility format, to this core or another.
            long address = 0xfee0_0000L | random.nextInt(3) / 2 << 12 | random.nextInt(4) << 2 & 8;
            return VtdStep.msi(device, address, 0x20 + random.nextInt(0xd0));
        }
        int index = random.nextInt(24);
        boolean handle = random.nextInt(3) == 0;
        int part = handle ? random.nextInt(index + 1) : 0;
        long address = 0xfee0_0010L | (long) (index - part) << 5 | (handle ? 8 : 0) | (random.nextInt(30) == 0 ? 4 : 0);
        // Without remapping this is a message, too: fixed or lowest priority.
        return VtdStep.msi(device, address, handle ? part
            : 0x20 + random.nextInt(0xd0) | random.nextInt(2) << 8 | random.nextInt(4) << 14);
    }

    private long remapping() {
        long low = (random.nextInt(8) == 0 ? 0 : 1) | (random.nextInt(4) == 0 ? 2 : 0)
            | (random.nextInt(8) == 0 ? 4 : 0)
            | random.nextInt(2) << 3 | (random.nextInt(3) == 0 ? 0x10 : 0) | random.nextInt(2) << 5
            | random.nextInt(16) << 8
            | (0x20 + random.nextInt(0xd0)) << 16;
        low |= random.nextInt(5) == 0 ? (long) random.nextInt(256) << 40 : random.nextInt(8) == 0 ? 0xffL << 40 : 0;
        return random.nextInt(10) == 0 ? low | 1L << new int[] {12, 13, 14, 24, 31}[random.nextInt(5)] : low;
    }

    private long verification() {
        int source = VtdTwins.SOURCES[random.nextInt(VtdTwins.SOURCES.length)]
            ^ (random.nextInt(4) == 0 ? 1 << random.nextInt(4) : 0);
        int type = random.nextInt(4);
        // V7: QEMU's has first and last bus swapped; one bus alone is the same.
        long high = (type == 2 ? random.nextInt(3) / 2 * 0x0101 : source) | random.nextInt(4) << 16 | type << 18;
        return random.nextInt(12) == 0 ? high | 1L << 20 + random.nextInt(44) : high;
    }
}
