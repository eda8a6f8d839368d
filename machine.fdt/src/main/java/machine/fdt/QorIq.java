// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The LIODNs a boot loader gives the DMA masters of a QorIQ chip; the trees in the kernel's sources do not have them. Numbers as
 * U-Boot's tables have them, by chip: PCIe controllers, then DMA engines.
 */
final class QorIq {
    private record Liodns(int[] pcie, int[] dma) {
    }

    private static final Pattern CHIP = Pattern.compile("fsl,([pbt][0-9]{4})[-a-z].*|fsl,([PBTpbt][0-9]{4}).*");
    private static final int UNKNOWN_CHIP_BASE = 193;

    private static final Map<String, Liodns> TABLE = table();

    private QorIq() {
    }

    private static Map<String, Liodns> table() {
        Map<String, Liodns> table = new HashMap<>();
        table.put("p4080", new Liodns(new int[] {193, 194, 195}, new int[] {196, 197}));
        table.put("p2041", new Liodns(new int[] {193, 194, 195}, new int[] {197, 198}));
        Liodns p3041 = new Liodns(new int[] {193, 194, 195, 196}, new int[] {197, 198});
        table.put("p3041", p3041);
        table.put("p5020", p3041);
        table.put("p5040", new Liodns(new int[] {195, 196, 197}, new int[] {193, 194}));
        Liodns t1024 = new Liodns(new int[] {148, 228, 308}, new int[] {147, 227});
        table.put("t1023", t1024);
        table.put("t1024", t1024);
        Liodns t1040 = new Liodns(new int[] {148, 228, 308, 388}, new int[] {147, 227});
        table.put("t1040", t1040);
        table.put("t1042", t1040);
        table.put("t4240", t1040);
        Liodns t2080 = new Liodns(new int[] {148, 228, 308, 388}, new int[] {147, 227, 226});
        table.put("t2080", t2080);
        table.put("t2081", t2080);
        Liodns b4860 = new Liodns(new int[] {148}, new int[] {147, 227});
        table.put("b4860", b4860);
        table.put("b4420", b4860);
        return Map.copyOf(table);
    }

    /** {@return the chip of a board in small letters: the one most of its nodes name; empty if none names a known one} */
    static String chip(List<List<String>> compatibles) {
        Map<String, Integer> votes = new LinkedHashMap<>();
        for (List<String> compatible : compatibles) {
            for (String text : compatible) {
                Matcher matcher = CHIP.matcher(text);
                if (matcher.matches()) {
                    String chip = (matcher.group(1) != null ? matcher.group(1) : matcher.group(2)).toLowerCase(Locale.ROOT);
                    if (TABLE.containsKey(chip)) {
                        votes.merge(chip, 1, Integer::sum);
                    }
                }
            }
        }
        return votes.entrySet().stream().max(Comparator.comparingInt(Map.Entry::getValue)).map(Map.Entry::getKey).orElse("");
    }

    /**
     * @param index of the controller or engine in address order
     * @return its LIODN; for one the table does not know, a number nobody else has
     */
    static int liodn(String chip, boolean pcie, int index) {
        Liodns known = TABLE.get(chip);
        int[] row = known == null ? new int[0] : pcie ? known.pcie : known.dma;
        if (index < row.length) {
            return row[index];
        }
        int used = known == null ? UNKNOWN_CHIP_BASE
            : 1 + Math.max(Arrays.stream(known.pcie).max().orElse(0), Arrays.stream(known.dma).max().orElse(0));
        return used + 2 * index + (pcie ? 0 : 1);
    }
}
