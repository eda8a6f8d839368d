// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.ArrayList;
import java.util.List;

/**
 * The tolerated faults of a tree; see {@link machine.api.Machine#warnings}. Their number is limited for hostile trees.
 */
final class Warnings {
    private static final int MOST = 64;

    private final List<String> lines = new ArrayList<>();
    private int more;

    void add(String format, Object... arguments) {
        if (lines.size() < MOST) {
            lines.add(String.format(format, arguments));
        } else {
            more++;
        }
    }

    List<String> list() {
        List<String> all = new ArrayList<>(lines);
        if (more > 0) {
            all.add("device tree: " + more + " more like these");
        }
        return all;
    }
}
