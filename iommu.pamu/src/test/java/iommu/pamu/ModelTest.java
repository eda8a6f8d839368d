// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Driver and unit together against an oracle that knows no tables: per domain a sorted map from iova to mapping. Random
 * operations, good and bad; after each, random accesses of random LIODNs through both instances.
 */
class ModelTest {
    private static final long MEMORY = 0x1_0000_0000L;
    private static final int LIODNS = 6;

    private record Mapping(long physical, long size, int access) {
    }

    /** One domain as its contract describes it. */
    private static final class Oracle {
        final IommuDomain domain;
        final TreeMap<Long, Mapping> mappings = new TreeMap<>();
        final TreeSet<Integer> requesters = new TreeSet<>();
        long start;
        long size;
        int windows;
        boolean enabled = true;

        Oracle(IommuDomain domain) {
            this.domain = domain;
        }

        Errno geometry(long newStart, long newSize) {
            if (!mappings.isEmpty()) {
                return Errno.EBUSY;
            }
            if (newSize < 4096 || Long.bitCount(newSize) != 1 || newStart % newSize != 0
                || newStart + newSize > 1L << 36) {
                return Errno.EINVAL;
            }
            if (newStart != start || newSize != size) {
                windows = 0;
            }
            start = newStart;
            size = newSize;
            return null;
        }

        Errno windows(int count) {
            if (!mappings.isEmpty()) {
                return Errno.EBUSY;
            }
            if (size == 0 || count < 1 || count > 256 || Integer.bitCount(count) != 1 || size / count < 4096) {
                return Errno.EINVAL;
            }
            windows = count;
            return null;
        }

        Errno map(long iova, long physical, long length, int access) {
            if (windows == 0 || iova < start || iova + length > start + size) {
                return Errno.EINVAL;
            }
            long window = size / windows;
            if ((iova - start) % window != 0
                || length % window != 0 && (length > window || Long.bitCount(length) != 1)) {
                return Errno.EINVAL;
            }
            long piece = Math.min(window, length);
            for (long at = 0; at < length; at += piece) {
                if (mappings.containsKey(iova + at)) {
                    return Errno.EEXIST;
                }
            }
            if (physical % piece != 0) {
                return Errno.EFAULT;
            }
            for (long at = 0; at < length; at += piece) {
                mappings.put(iova + at, new Mapping(physical + at, piece, access));
            }
            return null;
        }

        /** {@return bytes removed, or -1 where EINVAL is due} */
        long unmap(long iova, long length) {
            List<Long> gone = new ArrayList<>();
            long bytes = 0;
            for (Map.Entry<Long, Mapping> entry : mappings.entrySet()) {
                long from = entry.getKey();
                long to = from + entry.getValue().size;
                if (from < iova + length && iova < to) {
                    if (from < iova || to > iova + length) {
                        return -1;
                    }
                    gone.add(from);
                    bytes += entry.getValue().size;
                }
            }
            gone.forEach(mappings::remove);
            return bytes;
        }

        long translate(long iova, int access) {
            return enabled ? lookup(iova, access) : Refusal.NO_REQUESTER;
        }

        /** Whether or not it is enabled. */
        long lookup(long iova, int access) {
            if (mappings.isEmpty()) {
                return Refusal.NO_REQUESTER;
            }
            if (iova < start || iova >= start + size) {
                return Refusal.OUTSIDE;
            }
            Map.Entry<Long, Mapping> entry = mappings.floorEntry(iova);
            if (entry == null || iova >= entry.getKey() + entry.getValue().size) {
                return windows == 1 ? Refusal.OUTSIDE : Refusal.UNMAPPED;
            }
            Mapping mapping = entry.getValue();
            return (mapping.access & access) == access ? mapping.physical + iova - entry.getKey() : Refusal.DENIED;
        }
    }

    @Test
    @DisplayName("PAMU: driver and unit translate as the oracle does, over random operations (-Dgantry.seed)")
    void model() {
        Long wanted = Long.getLong("gantry.seed");
        for (int run = 0; run < (wanted == null ? 6 : 1); run++) {
            long seed = wanted == null ? System.nanoTime() + run : wanted;
            System.out.println("ModelTest.model -Dgantry.seed=" + seed);
            try {
                run(new Random(seed));
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
    }

    private void run(Random random) {
        Board board = new Board();
        PamuDriver driver = board.driver();
        DmaBuffer memory = board.machine.memory().allocateAt(MEMORY, 1L << 30);
        Oracle[] oracles = new Oracle[3];
        for (int i = 0; i < oracles.length; i++) {
            oracles[i] = new Oracle(driver.open());
        }
        int done = 0;
        for (int step = 0; step < 4000; step++) {
            int which = random.nextInt(oracles.length);
            Oracle oracle = oracles[which];
            done += operate(random, oracles, oracle, memory) ? 1 : 0;
            if (random.nextInt(400) == 0) {
                oracle.domain.close();
                oracles[which] = new Oracle(driver.open());
            }
            for (int i = 0; i < 12; i++) {
                probe(random, board, oracles);
            }
            driver.violations();
        }
        if (done < 1000) {
            fail("only " + done + " operations succeeded: the generator has gone blind");
        }
    }

    private static boolean operate(Random random, Oracle[] oracles, Oracle oracle, DmaBuffer memory) {
        IommuDomain domain = oracle.domain;
        long window = oracle.windows == 0 ? 4096 : oracle.size / oracle.windows;
        long at = oracle.start + window * random.nextInt(Math.max(1, oracle.windows));
        switch (random.nextInt(12)) {
            case 0 -> {
                long size = 4096L << random.nextInt(17);
                long start = size * random.nextInt(5);
                if (random.nextInt(8) == 0) {
                    size += 4096;
                }
                long sized = size;
                return check(oracle.geometry(start, sized), () -> domain.set(new Geometry(start, sized)));
            }
            case 1 -> {
                int count = random.nextInt(8) == 0 ? random.nextInt(600) - 10 : 1 << random.nextInt(9);
                return check(oracle.windows(count), () -> domain.set(new Windows(count)));
            }
            case 2, 3, 4, 5, 6 -> {
                long length = random.nextBoolean() ? window * (1 + random.nextInt(3)) : 4096L << random.nextInt(8);
                long offset = random.nextInt(6) == 0 ? 4096L * random.nextInt(1000) : (1L << 20) * random.nextInt(100);
                if (random.nextInt(3) > 0) {
                    offset = offset / window * window;
                }
                if (length > 1L << 29 || offset > 1L << 28) {
                    return false;
                }
                int access = 1 + random.nextInt(3);
                long iova = random.nextInt(10) == 0 ? at + 4096 : at;
                long from = offset;
                if (random.nextInt(5) == 0) {
                    return check(oracle.map(iova, 0xf_fe04_4000L, 4096, Access.WRITE),
                        () -> domain.mapDoorbell(iova, 0xf_fe04_4000L, 4096));
                }
                return check(oracle.map(iova, MEMORY + from, length, access),
                () -> domain.map(iova, memory, from, length, access));
            }
            case 7, 8 -> {
                long length = random.nextInt(8) == 0 ? 1L << 36
                : window * (1 + random.nextInt(4)) - (random.nextInt(6) == 0 ? 4096 : 0);
                if (length <= 0) {
                    return false;
                }
                long iova = random.nextInt(8) == 0 ? 0 : at;
                long bytes = oracle.unmap(iova, length);
                return check(bytes < 0 ? Errno.EINVAL : null, () -> assertEquals(bytes, domain.unmap(iova, length)));
            }
            case 9 -> {
                int liodn = random.nextInt(LIODNS);
                Errno due = null;
                for (Oracle each : oracles) {
                    if (each.requesters.contains(liodn)) {
                        due = each == oracle ? Errno.EEXIST : Errno.EBUSY;
                    }
                }
                if (due == null) {
                    oracle.requesters.add(liodn);
                }
                return check(due, () -> domain.attach(Board.at(liodn)));
            }
            case 10 -> {
                int liodn = random.nextInt(LIODNS);
                return check(oracle.requesters.remove(liodn) ? null : Errno.ENOENT,
                    () -> domain.detach(Board.at(liodn)));
            }
            default -> {
                oracle.enabled = random.nextInt(4) > 0;
                return check(null, () -> domain.set(new Enable(oracle.enabled)));
            }
        }
    }

    private static boolean check(Errno due, Runnable operation) {
        Errno got = null;
        try {
            operation.run();
        } catch (ErrnoException e) {
            got = e.errno();
            if (due != got) {
                throw new AssertionError("due " + due, e);
            }
        }
        assertEquals(due, got);
        return due == null;
    }

    private static void probe(Random random, Board board, Oracle[] oracles) {
        Oracle near = oracles[random.nextInt(oracles.length)];
        long reach = Math.max(4096, near.size);
        long iova = near.start + (long) (random.nextDouble() * reach) & -4;
        if (random.nextInt(8) == 0) {
            iova += random.nextBoolean() ? reach : -reach;
        }
        if (random.nextBoolean() && !near.mappings.isEmpty()) {
            Map.Entry<Long, Mapping> entry = near.mappings.floorEntry(iova);
            iova = entry == null ? near.mappings.firstKey()
                : entry.getKey() + (random.nextBoolean() ? 0 : entry.getValue().size - 4);
        }
        int access = random.nextBoolean() ? Access.READ : Access.WRITE;
        int liodn = random.nextInt(LIODNS);
        long due = Refusal.NO_REQUESTER;
        for (Oracle oracle : oracles) {
            if (oracle.requesters.contains(liodn)) {
                due = oracle.translate(iova, access);
            }
        }
        long got = board.pamu(random.nextInt(2)).translate(liodn, iova, 4, access);
        String what = String.format("LIODN %d iova 0x%x access %d", liodn, iova, access);
        assertEquals(Long.toHexString(due), Long.toHexString(got), what);
        assertEquals(Long.toHexString(near.lookup(iova, access)), Long.toHexString(near.domain.lookup(iova, access)),
            what);
    }
}
