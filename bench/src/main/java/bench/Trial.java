// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.Map;
import java.util.TreeMap;

/**
 * One benchmark method with its parameters.
 *
 * @param method class and method, {@code Translate.vtdRandom}
 * @param parameters JMH parameters by name
 */
record Trial(String method, Map<String, String> parameters, Pace pace) {
    /** The duration of a measurement. */
    enum Pace {
        /** Nanoseconds, little code. */
        FAST,
        /** Microseconds: iterations are longer, so that each holds enough operations. */
        SLOW,
        /** Much code: the compiler needs longer, too. */
        DEEP
    }

    static Trial of(String method, Object... parameters) {
        return new Trial(method, byName(parameters), Pace.FAST);
    }

    static Trial slow(String method, Object... parameters) {
        return new Trial(method, byName(parameters), Pace.SLOW);
    }

    static Trial deep(String method, Object... parameters) {
        return new Trial(method, byName(parameters), Pace.DEEP);
    }

    private static Map<String, String> byName(Object... parameters) {
        Map<String, String> map = new TreeMap<>();
        for (int i = 0; i < parameters.length; i += 2) {
            map.put(parameters[i].toString(), parameters[i + 1].toString());
        }
        return map;
    }
}
