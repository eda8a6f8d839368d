// SPDX-License-Identifier: Apache-2.0
package machine.api.config;

import java.lang.annotation.Annotation;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.LongPredicate;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.annotation.versioning.ProviderType;

/**
 * Reads the configurations of one component, one after the other. An attribute that is not legal, of a wrong type too,
 * does not end the component: its value of the configuration before stays, or its default if there was none. All that
 * is refused in one configuration is one line, which names what is legal.
 *
 * <p>The component's own properties are read and not its annotation: Declarative Services would throw for a value that
 * it cannot convert, and cut a number that is too long. Thread-safe.
 */
@ProviderType
public final class ConfigurationReader {
    private static final int LONGEST = 240;

    private final String pid;
    private final Class<? extends Annotation> attributes;
    private final Consumer<String> refused;
    /** Guarded by this: the values of the last configuration; null before the first. */
    private Map<String, Object> inForce;

    /**
     * Has read nothing yet.
     *
     * @param pid names the component in the line
     * @param attributes the annotation that describes the configuration; its methods have the defaults
     * @param refused is given the line, on the thread that reads: a log's {@code error}
     */
    public ConfigurationReader(String pid, Class<? extends Annotation> attributes, Consumer<String> refused) {
        this.pid = pid;
        this.attributes = attributes;
        this.refused = refused;
    }

    /**
     * Makes settings of a configuration.
     *
     * @param properties the component's properties; those that nobody asks for are not looked at
     * @param settings asks for each attribute and makes the settings; is called a second time if it throws. It may
     *     throw {@link IllegalArgumentException} or {@link ErrnoException} for values that do not go together: all of
     *     them are refused then
     * @return the settings
     * @throws IllegalArgumentException if the values before, or the defaults, do not go together either
     */
    public synchronized <T> T read(Map<String, ?> properties, Function<Values, T> settings) {
        Values asked = new Values(properties);
        T made;
        try {
            made = settings.apply(asked);
        } catch (IllegalArgumentException | ErrnoException e) {
            asked.refusals
                .add(oneLine(e.getMessage()) + (inForce == null ? "; all defaults are used" : "; all stays as it was"));
            Values before = new Values(inForce == null ? Map.of() : inForce);
            made = settings.apply(before);
            asked.values.putAll(before.values);
        }
        inForce = asked.values;
        if (!asked.refusals.isEmpty()) {
            refused.accept(pid + ": " + String.join("; ", asked.refusals));
        }
        return made;
    }

    /** The attributes of one configuration. For the thread that {@link #read} calls. */
    public final class Values {
        private final Map<String, ?> properties;
        private final Map<String, Object> values = new HashMap<>();
        private final List<String> refusals = new ArrayList<>();

        private Values(Map<String, ?> properties) {
            this.properties = properties;
        }

        /** {@return an int, both ends legal} */
        public int integer(String key, int least, int most) {
            return (int) number(key, least, most);
        }

        /** {@return a long, both ends legal} */
        public long number(String key, long least, long most) {
            return number(key, value -> value >= least && value <= most, least + ".." + most);
        }

        /** {@return a power of two, both ends legal} */
        public int powerOfTwo(String key, int least, int most) {
            return (int) number(key, value -> value >= least && value <= most && Long.bitCount(value) == 1,
                "a power of two, " + least + ".." + most);
        }

        /**
         * {@return a long} Text is read as Java writes numbers, so that 0x1000 is one.
         *
         * @param what is legal, in words
         */
        public long number(String key, LongPredicate legal, String what) {
            return (long) value(key, what, raw -> {
                Long number = toNumber(raw);
                return number != null && legal.test(number) ? number : null;
            });
        }

        /** {@return several ints, both ends legal for each} Text has commas between them. */
        public int[] integers(String key, int least, int most) {
            return ((int[]) value(key, "numbers in " + least + ".." + most, raw -> {
                List<?> parts = raw instanceof String text ? List.of(text.split(",")) : elements(raw);
                int[] numbers = new int[parts.size()];
                for (int i = 0; i < numbers.length; i++) {
                    Long number = toNumber(parts.get(i));
                    if (number == null || number < least || number > most) {
                        return null;
                    }
                    numbers[i] = number.intValue();
                }
                return numbers.length == 0 ? null : numbers;
            })).clone();
        }

        /**
         * {@return any number of words, perhaps none} Text has commas between them.
         *
         * @param what is legal, in words
         */
        @SuppressWarnings("unchecked")
        public List<String> words(String key, Predicate<String> legal, String what) {
            return (List<String>) value(key, what, raw -> {
                List<?> parts = raw instanceof String text ? text.isBlank() ? List.of() : List.of(text.split(",", -1))
                    : elements(raw);
                List<String> words = parts.stream().map(part -> String.valueOf(part).trim()).toList();
                return words.stream().allMatch(legal) ? words : null;
            });
        }

        /** {@return a truth value} */
        public boolean flag(String key) {
            return (boolean) value(key, "true or false", raw -> {
                String text = String.valueOf(raw).trim().toLowerCase(Locale.ROOT);
                return text.equals("true") || text.equals("false") ? Boolean.valueOf(text) : null;
            });
        }

        /** {@return one of these words, as it stands in the list; capital letters do not matter} */
        public String word(String key, List<String> legal) {
            return (String) value(key, String.join(" or ", legal), raw ->
                legal.stream()
                .filter(word -> word.equalsIgnoreCase(String.valueOf(raw).trim())).findFirst().orElse(null));
        }

        /** @param legal gives the value, or null */
        private Object value(String key, String what, Function<Object, Object> legal) {
            Object raw = properties.get(key);
            Object value = raw == null ? fallback(key) : legal.apply(single(raw));
            if (value == null) {
                boolean stays = inForce != null && inForce.containsKey(key);
                value = stays ? inForce.get(key) : fallback(key);
                refusals.add(key + "=" + oneLine(show(raw)) + " is refused, legal is " + what + "; "
                    + (stays ? show(value) + " stays" : "the default " + show(value) + " is used"));
            }
            values.put(key, value);
            return value;
        }

        private Object fallback(String key) {
            try {
                Object value = attributes.getDeclaredMethod(key.replace('.', '_')).getDefaultValue();
                return value instanceof Integer number ? (Object) number.longValue()
                    : value instanceof String[] words ? List.of(words) : value;
            } catch (NoSuchMethodException e) {
                throw new IllegalArgumentException(attributes.getName() + " describes no " + key, e);
            }
        }
    }

    /**
     * {@return one attribute that has neither a default nor a value before, such as a place}
     *
     * @param raw as it stands in the configuration
     * @throws ErrnoException EINVAL if it is no number between the two, which are legal, too
     */
    public static int required(String key, Object raw, int least, int most) {
        Long number = raw == null ? null : toNumber(single(raw));
        if (number == null || number < least || number > most) {
            throw new ErrnoException(Errno.EINVAL, "%s=%s is refused, legal is %d..%d", key,
                raw == null ? "" : oneLine(show(raw)), least, most);
        }
        return number.intValue();
    }

    /** {@return the number; null if it is none, or has a fraction, or does not fit} */
    private static Long toNumber(Object raw) {
        if (raw instanceof Long || raw instanceof Integer || raw instanceof Short || raw instanceof Byte) {
            return ((Number) raw).longValue();
        }
        String text = String.valueOf(raw).trim();
        try {
            // All 64 lines of an address are 0xffffffffffffffff, and -1 as Java has it.
            if (text.regionMatches(true, 0, "0x", 0, 2)) {
                return Long.parseUnsignedLong(text.substring(2), 16);
            }
            return Long.decode(text);
        } catch (NumberFormatException e) {
            return null;
        }
    }

    /** Configurations hold single values in arrays and collections, too. */
    private static Object single(Object raw) {
        List<?> elements = elements(raw);
        return elements.size() == 1 ? elements.get(0) : raw;
    }

    private static List<?> elements(Object raw) {
        if (raw instanceof Collection<?> all) {
            return new ArrayList<>(all);
        }
        if (!raw.getClass().isArray()) {
            return List.of(raw);
        }
        List<Object> all = new ArrayList<>();
        for (int i = 0; i < Array.getLength(raw); i++) {
            all.add(Array.get(raw, i));
        }
        return all;
    }

    private static String show(Object value) {
        return elements(value).stream().map(String::valueOf).collect(Collectors.joining(","));
    }

    /** Escapes a configured text, which must not make a second line of the log. */
    private static String oneLine(String text) {
        String line = String.valueOf(text).replaceAll("\\p{Cntrl}+", " ");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "...";
    }
}
