// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ExplorerTest {
    private static final int SIZE = 100_000;

    /** A number that is doubled or counted up, modulo {@link #SIZE}; one in {@code trap} stays as it is. */
    private record Numbers(IntPredicate bad, IntPredicate trap) implements Explorer.Model<Integer> {
        @Override
        public Integer initial() {
            return 1;
        }

        @Override
        public void next(Integer state, Explorer.Moves<Integer> moves) {
            if (trap.test(state)) {
                moves.to(0, "stay", state);
            } else {
                moves.to(1, "double", state * 2 % SIZE);
                moves.to(0, "count", (state + 1) % SIZE);
            }
        }

        @Override
        public String broken(Integer state) {
            return bad.test(state) ? state + " is bad" : "";
        }

        @Override
        public boolean good(Integer state) {
            return state == 0;
        }
    }

    private static Explorer.Result explore(IntPredicate bad, IntPredicate trap) {
        return new Explorer<>(new Numbers(bad, trap), SIZE).explore();
    }

    @Test
    @DisplayName("every state once, every transition")
    void all() {
        Explorer.Result result = explore(n -> false, n -> false);
        assertEquals("", result.broken());
        assertEquals(SIZE, result.states());
        assertEquals(2 * SIZE, result.transitions());
    }

    @Test
    @DisplayName("a bad state is found on the shortest way, in words")
    void shortest() {
        Explorer.Result result = explore(n -> n == 11 || n == 23, n -> false);
        assertEquals("11 is bad", result.broken());
        assertEquals(
            List.of("begin", "container 1: double", "container 1: double", "count", "container 1: double", "count",
                "11"),
            result.trace());
        assertEquals(5, result.depth());
        assertTrue(result.toString().startsWith("11 is bad\n  begin\n"), result.toString());
    }

    @Test
    @DisplayName("a state from which no way leads to a good one is found, also if something always goes on there")
    void trapped() {
        Explorer.Result result = explore(n -> false, n -> n == 77_777);
        assertTrue(result.broken().startsWith("no way leads back"), result.broken());
        assertEquals("77777", result.trace().get(result.trace().size() - 1));
    }

    @Test
    @DisplayName("more states than expected are no result")
    void tooLarge() {
        assertThrows(Explorer.TooLarge.class,
            () -> new Explorer<>(new Numbers(n -> false, n -> false), SIZE - 1).explore());
    }
}
