// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * Delta debugging: of a list that fails, a part that still fails and from which nothing can be taken. Steps keep their
 * order. Each try is a run from the reset state, so there is a limit to them; the shortest list found by then is the
 * answer.
 */
final class Minimiser {
    private Minimiser() {
    }

    /**
     * @param failing fails as it is
     * @param fails whether a list still fails
     * @param tries how often to ask at most
     */
    static <S> List<S> minimise(List<S> failing, Predicate<List<S>> fails, int tries) {
        List<S> least = failing;
        int pieces = 2;
        int left = tries;
        while (least.size() >= 2 && left > 0) {
            int size = (least.size() + pieces - 1) / pieces;
            boolean smaller = false;
            for (int from = 0; from < least.size() && left > 0; from += size) {
                List<S> without = new ArrayList<>(least.subList(0, from));
                without.addAll(least.subList(Math.min(from + size, least.size()), least.size()));
                left--;
                if (fails.test(without)) {
                    least = without;
                    smaller = true;
                    // What follows has moved here.
                    from -= size;
                }
            }
            if (smaller) {
                pieces = Math.max(2, Math.min(pieces, least.size()));
            } else if (size == 1) {
                break;
            } else {
                pieces = Math.min(2 * pieces, least.size());
            }
        }
        return least;
    }
}
