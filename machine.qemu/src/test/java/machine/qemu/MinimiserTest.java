// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class MinimiserTest {
    private static final List<Integer> MANY = IntStream.range(0, 500).boxed().toList();

    @DisplayName("The minimised sequence is the steps the failure needs, in order, wherever they stood")
    @Test
    void needed() {
        for (List<Integer> needed : List.of(List.of(0), List.of(499), List.of(3, 4, 5), List.of(0, 123, 250, 499),
            List.of(17, 400))) {
            assertEquals(needed, Minimiser.minimise(MANY, list -> list.containsAll(needed), 1000));
        }
    }

    @DisplayName("It ends after the number of tries it was given, with a list that fails")
    @Test
    void tries() {
        int[] asked = new int[1];
        List<Integer> least = Minimiser.minimise(MANY, list -> {
            asked[0]++;
            return list.containsAll(List.of(1, 77, 499));
        }, 20);
        assertEquals(20, asked[0]);
        assertTrue(least.containsAll(List.of(1, 77, 499)) && least.size() < 500);
        assertEquals(List.of(9), Minimiser.minimise(List.of(9), list -> false, 20));
    }
}
