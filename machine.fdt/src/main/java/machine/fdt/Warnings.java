// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.ArrayList;
import java.util.List;

/** What was gone on with although it is wrong; see {@link machine.api.Machine#warnings}. A hostile tree makes no endless list of it. */
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
