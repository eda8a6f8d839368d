// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.Locale;

/**
 * Numbers as people write them: {@code 512M}, {@code 64K}, {@code 0x10000000}, {@code 8}; and as they like to read
 * them.
 */
final class Amount {
    private static final String SUFFIXES = "KMGT";

    private Amount() {
    }

    /**
     * @return the number; hex may use all 64 bits
     * @throws IllegalArgumentException naming the text, if it is no number
     */
    static long parse(Object text) {
        String trimmed = String.valueOf(text).trim().toUpperCase(Locale.ROOT);
        int shift = 0;
        String digits = trimmed;
        if (!trimmed.startsWith("0X") && !trimmed.isEmpty()) {
            shift = 10 * (SUFFIXES.indexOf(trimmed.charAt(trimmed.length() - 1)) + 1);
            digits = shift == 0 ? trimmed : trimmed.substring(0, trimmed.length() - 1);
        }
        try {
            long number = digits.startsWith("0X") ? Long.parseUnsignedLong(digits.substring(2), 16)
                : Long.parseLong(digits);
            return Math.multiplyExact(number, 1L << shift);
        } catch (NumberFormatException | ArithmeticException e) {
            throw new IllegalArgumentException("not a number: '" + text + "'; write 512M, 64K, 0x10000000 or 8", e);
        }
    }

    static int parseInt(Object text) {
        return Math.toIntExact(parse(text));
    }

    static String hex(long number) {
        return String.format("0x%x", number);
    }

    /** {@return the size in the largest unit that leaves no remainder: {@code 64 MiB}} */
    static String size(long bytes) {
        String[] units = {"B", "KiB", "MiB", "GiB", "TiB"};
        int unit = 0;
        while (unit < units.length - 1 && bytes != 0 && bytes % 1024 == 0) {
            bytes /= 1024;
            unit++;
        }
        return bytes + " " + units[unit];
    }
}
