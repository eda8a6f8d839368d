// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The LIODNs a boot loader gives the DMA masters of a QorIQ chip; the trees in the kernel's sources do not have them.
 * Numbers as U-Boot's tables have them, by chip: PCIe controllers, then DMA engines. U-Boot knows each by its address,
 * not by whether others are enabled.
 */
final class QorIq {
    /** Offsets in the block of configuration registers (CCSR): of the first PCIe controller, from one to the next. */
    private record Liodns(long firstPcie, long nextPcie, int[] pcie, int[] dma) {
        /** P series and B4860; T series. */
        static Liodns p(int[] pcie, int... dma) {
            return new Liodns(0x20_0000, 0x1000, pcie, dma);
        }

        static Liodns t(int[] pcie, int... dma) {
            return new Liodns(0x24_0000, 0x1_0000, pcie, dma);
        }

        /** {@return the number of the one with registers at an offset, negative if there is none} */
        int index(boolean isPcie, long offset) {
            long distance = offset - (isPcie ? firstPcie : FIRST_DMA);
            long step = isPcie ? nextPcie : NEXT_DMA;
            return distance >= 0 && distance % step == 0 && distance / step < (isPcie ? pcie : dma).length
                ? (int) (distance / step)
                : -1;
        }
    }

    private static final long CCSR_SIZE = 0x100_0000;
    private static final long FIRST_DMA = 0x10_0300;
    private static final long NEXT_DMA = 0x1000;

    private static final Pattern CHIP = Pattern.compile("fsl,([pbt][0-9]{4})[-a-z].*|fsl,([PBTpbt][0-9]{4}).*");
    private static final int UNKNOWN_CHIP_BASE = 193;

    private static final Map<String, Liodns> TABLE = table();

    private QorIq() {
    }

    private static Map<String, Liodns> table() {
        Map<String, Liodns> table = new HashMap<>();
        table.put("p4080", Liodns.p(new int[] {193, 194, 195}, 196, 197));
        table.put("p2041", Liodns.p(new int[] {193, 194, 195}, 197, 198));
        Liodns p3041 = Liodns.p(new int[] {193, 194, 195, 196}, 197, 198);
        table.put("p3041", p3041);
        table.put("p5020", p3041);
        table.put("p5040", Liodns.p(new int[] {195, 196, 197}, 193, 194));
        Liodns t1024 = Liodns.t(new int[] {148, 228, 308}, 147, 227);
        table.put("t1023", t1024);
        table.put("t1024", t1024);
        Liodns t1040 = Liodns.t(new int[] {148, 228, 308, 388}, 147, 227);
        table.put("t1040", t1040);
        table.put("t1042", t1040);
        table.put("t4240", t1040);
        Liodns t2080 = Liodns.t(new int[] {148, 228, 308, 388}, 147, 227, 226);
        table.put("t2080", t2080);
        table.put("t2081", t2080);
        Liodns b4860 = Liodns.p(new int[] {148}, 147, 227);
        table.put("b4860", b4860);
        table.put("b4420", b4860);
        return Map.copyOf(table);
    }

    /**
     * {@return the chip of a board in small letters: the one most of its nodes name; empty if none names a known one}
     */
    static String chip(List<List<String>> compatibles) {
        Map<String, Integer> votes = new LinkedHashMap<>();
        for (List<String> compatible : compatibles) {
            for (String text : compatible) {
                Matcher matcher = CHIP.matcher(text);
                if (matcher.matches()) {
                    String chip = (matcher.group(1) != null ? matcher.group(1) : matcher.group(2))
                        .toLowerCase(Locale.ROOT);
                    if (TABLE.containsKey(chip)) {
                        votes.merge(chip, 1, Integer::sum);
                    }
                }
            }
        }
        return votes.entrySet().stream().max(Comparator.comparingInt(Map.Entry::getValue)).map(Map.Entry::getKey)
            .orElse("");
    }

    /**
     * @param registers physical address of the controller or engine
     * @param index of it in address order, among all of its kind, enabled or not
     * @param taken LIODNs that the tree gives to others
     * @return its LIODN; for one the table does not know, a number nobody else has
     */
    static int liodn(String chip, boolean pcie, long registers, int index, Set<Integer> taken) {
        Liodns known = TABLE.get(chip);
        int place = known == null ? -1 : known.index(pcie, registers % CCSR_SIZE);
        if (place >= 0) {
            return (pcie ? known.pcie : known.dma)[place];
        }
        int used = known == null ? UNKNOWN_CHIP_BASE
            : 1 + Math.max(Arrays.stream(known.pcie).max().orElse(0), Arrays.stream(known.dma).max().orElse(0));
        int liodn = used + 2 * index + (pcie ? 0 : 1);
        // Steps of two, so that the other kind's numbers are not met.
        while (taken.contains(liodn)) {
            liodn += 2;
        }
        return liodn;
    }
}
