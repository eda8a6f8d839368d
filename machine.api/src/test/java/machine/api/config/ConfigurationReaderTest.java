// SPDX-License-Identifier: Apache-2.0
package machine.api.config;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ConfigurationReaderTest {
    @interface Config {
        int entry_limit() default 10;

        long locked() default Long.MAX_VALUE;

        boolean unsafe() default false;

        String policy() default "report";

        int[] levels() default {4};

        int entries() default 64;

        String[] classes() default {"0c03", "03"};
    }

    private final List<String> lines = new ArrayList<>();
    private final ConfigurationReader reader = new ConfigurationReader("a.pid", Config.class, lines::add);

    private int limit(Map<String, ?> properties) {
        return reader.read(properties, values -> values.integer("entry.limit", 1, 100));
    }

    @Test
    @DisplayName("an attribute that is not given is its default, also after another configuration")
    void defaults() {
        assertEquals(10, limit(Map.of()));
        assertEquals(20, limit(Map.of("entry.limit", 20)));
        assertEquals(10, limit(Map.of("service.pid", "a.pid")));
        assertEquals(List.of(), lines);
    }

    @Test
    @DisplayName("what is not legal is refused in one line that names what is: the default at first, then what was "
        + "there before")
    void refusal() {
        assertEquals(10, limit(Map.of("entry.limit", 0)));
        assertEquals("a.pid: entry.limit=0 is refused, legal is 1..100; the default 10 is used", lines.get(0));
        assertEquals(100, limit(Map.of("entry.limit", 100)));
        assertEquals(100, limit(Map.of("entry.limit", 101)));
        assertEquals("a.pid: entry.limit=101 is refused, legal is 1..100; 100 stays", lines.get(1));
        assertEquals(2, lines.size());
    }

    @Test
    @DisplayName("a value of another type is taken if it says the same, and refused if it does not, is cut by "
        + "nobody, and no second line")
    void types() {
        assertEquals(16, limit(Map.of("entry.limit", " 0x10 ")));
        assertEquals(17, limit(Map.of("entry.limit", 17L)));
        assertEquals(18, limit(Map.of("entry.limit", new int[] {18})));
        assertEquals(19, limit(Map.of("entry.limit", List.of("19"))));
        assertEquals(List.of(), lines);
        for (Object bad : List.of("", "ten", 0x1_0000_0005L, 5.0, true, new int[] {1, 2}, new int[0], List.of(),
            "5\nERROR forged: 6")) {
            assertEquals(19, limit(Map.of("entry.limit", bad)), () -> "taken: " + bad);
            assertEquals(1, lines.size());
            assertEquals(1, lines.remove(0).lines().count());
        }
    }

    @Test
    @DisplayName("each type has its legal values; good attributes beside bad ones are taken, and all refusals are "
        + "one line")
    void everyType() {
        record All(long locked, boolean unsafe, String policy, List<Integer> levels, int entries) {
        }
        Map<String, Object> bad = Map.of("locked", -1L, "unsafe", "maybe", "policy", "garbage", "levels",
            new int[] {4, 6}, "entries", 65);
        class Read {
            All from(Map<String, ?> properties) {
                return reader.read(properties, values -> {
                    int[] levels = values.integers("levels", 3, 5);
                    return new All(values.number("locked", 0, Long.MAX_VALUE), values.flag("unsafe"),
                        values.word("policy", List.of("report", "disable")), Arrays.stream(levels).boxed().toList(),
                        values.powerOfTwo("entries", 64, 128));
                });
            }
        }
        Read read = new Read();
        All good = read
            .from(Map.of("locked", 7, "unsafe", "TRUE", "policy", "Disable", "levels", "3,4", "entries", 128));
        assertEquals(new All(7, true, "disable", List.of(3, 4), 128), good);
        assertEquals(List.of(), lines);
        assertEquals(good, read.from(bad));
        assertEquals("a.pid: levels=4,6 is refused, legal is numbers in 3..5; 3,4 stays; locked=-1 is refused, legal "
            + "is 0..9223372036854775807; 7 stays; unsafe=maybe is refused, legal is true or false; true stays; "
            + "policy=garbage is refused, legal is report or disable; disable stays; entries=65 is refused, legal is a "
            + "power of two, 64..128; 128 stays", lines.remove(0));
        assertEquals(new All(8, true, "disable", List.of(3, 4), 64),
            read.from(Map.of("locked", 8L, "unsafe", 1, "policy", "disable", "levels", new Integer[] {3, 4},
                "entries", 64)));
        assertEquals(1, lines.size());
    }

    @Test
    @DisplayName("words: several, one, none; the default if they are not given; one that is not legal refuses them all")
    void words() {
        class Read {
            List<String> from(Map<String, ?> properties) {
                return reader.read(properties,
                    values -> values.words("classes", word -> word.matches("[0-9a-f]+"), "hexadecimal"));
            }
        }
        Read read = new Read();
        assertEquals(List.of("0c03", "03"), read.from(Map.of()));
        assertEquals(List.of(), read.from(Map.of("classes", new String[0])));
        assertEquals(List.of(), read.from(Map.of("classes", " ")));
        assertEquals(List.of("02"), read.from(Map.of("classes", List.of("02"))));
        assertEquals(List.of("01", "02"), read.from(Map.of("classes", "01, 02")));
        assertEquals(List.of(), lines);
        for (Object bad : List.of("01,x", new String[] {"x", "01"}, "01,")) {
            assertEquals(List.of("01", "02"), read.from(Map.of("classes", bad)));
            assertTrue(lines.remove(0).endsWith(" is refused, legal is hexadecimal; 01,02 stays"));
        }
    }

    @Test
    @DisplayName("values that do not go together change nothing, though each is legal; the line has the reason")
    void together() {
        class Pair {
            List<Integer> from(Map<String, ?> properties) {
                return reader.read(properties, values -> {
                    List<Integer> pair = List.of(values.integer("entry.limit", 1, 100),
                        values.integer("entries", 1, 100));
                    if (pair.get(0) > pair.get(1)) {
                        throw new IllegalArgumentException("more than there are entries");
                    }
                    return pair;
                });
            }
        }
        Pair pair = new Pair();
        assertEquals(List.of(10, 64), pair.from(Map.of("entry.limit", 65)));
        assertEquals("a.pid: more than there are entries; all defaults are used", lines.remove(0));
        assertEquals(List.of(30, 40), pair.from(Map.of("entry.limit", 30, "entries", 40)));
        assertEquals(List.of(30, 40), pair.from(Map.of("entry.limit", 50, "entries", 41)));
        assertEquals("a.pid: more than there are entries; all stays as it was", lines.remove(0));
        assertEquals(List.of(30, 64), pair.from(Map.of("entry.limit", 30)));
        assertEquals(List.of(), lines);
    }

    @Test
    @DisplayName("all 64 lines of an address are -1, 0xffffffffffffffff, and no more")
    void unsigned() {
        for (Object all : List.of(-1L, "-1", "0xffffffffffffffff")) {
            assertEquals(-1L, reader.<Long>read(Map.of("locked", all),
                values -> values.number("locked", value -> value == -1, "-1")));
        }
        assertEquals(List.of(), lines);
        reader.<Long>read(Map.of("locked", "0x1ffffffffffffffff"),
            values -> values.number("locked", value -> value == -1, "-1"));
        assertEquals(1, lines.size());
    }

    @Test
    @DisplayName("what is given out is the reader's own no more; an attribute that is not described is a "
        + "programmer's mistake")
    void strict() {
        int[] first = reader.read(Map.of("levels", new int[] {3}), values -> values.integers("levels", 3, 5));
        first[0] = 99;
        assertArrayEquals(new int[] {3},
            reader.<int[]>read(Map.of("levels", "x"), values -> values.integers("levels", 3, 5)));
        assertThrows(IllegalArgumentException.class, () -> reader.read(Map.of(), values -> values.flag("nothing")));
    }
}
