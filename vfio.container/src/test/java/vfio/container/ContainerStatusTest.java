// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.ContainerState;
import vfio.container.state.ContainerStatus;

/** The edges of decision 12's picture, written down once more: from which states each method leads to which. */
class ContainerStatusTest {
    private static final Consumer<ContainerStatus> SET = status -> status.set("type1");
    private static final Consumer<ContainerStatus> BLOCK = status -> status.block("gone");

    /** A way to each state. */
    private static Map<ContainerState, List<Consumer<ContainerStatus>>> ways() {
        Map<ContainerState, List<Consumer<ContainerStatus>>> ways = new EnumMap<>(ContainerState.class);
        ways.put(ContainerState.UNSET, List.of());
        ways.put(ContainerState.ACTIVE, List.of(SET));
        ways.put(ContainerState.QUIESCING, List.of(SET, ContainerStatus::quiesce));
        ways.put(ContainerState.BLOCKED, List.of(SET, BLOCK));
        ways.put(ContainerState.RESTORING, List.of(SET, BLOCK, ContainerStatus::restore));
        ways.put(ContainerState.CLOSED, List.of(ContainerStatus::close));
        return ways;
    }

    private static ContainerStatus at(ContainerState state) {
        ContainerStatus status = new ContainerStatus("one");
        ways().get(state).forEach(step -> step.accept(status));
        assertEquals(state, status.state());
        return status;
    }

    private static void edge(Consumer<ContainerStatus> edge, ContainerState to, ContainerState... from) {
        List<ContainerState> legal = List.of(from);
        for (ContainerState state : ContainerState.values()) {
            ContainerStatus status = at(state);
            if (legal.contains(state)) {
                edge.accept(status);
                assertEquals(to, status.state(), "from " + state);
                assertTrue(ContainerStatus.follows(state, to), state + " to " + to);
            } else {
                assertThrows(IllegalStateException.class, () -> edge.accept(status), state + " to " + to);
                assertEquals(state, status.state(), "a state that refuses stays");
            }
        }
    }

    @Test
    @DisplayName("each edge leads where decision 12 says, and from nowhere else")
    void edges() {
        edge(SET, ContainerState.ACTIVE, ContainerState.UNSET);
        edge(ContainerStatus::quiesce, ContainerState.QUIESCING, ContainerState.ACTIVE, ContainerState.BLOCKED);
        edge(ContainerStatus::resume, ContainerState.ACTIVE, ContainerState.QUIESCING);
        edge(BLOCK, ContainerState.BLOCKED, ContainerState.ACTIVE, ContainerState.QUIESCING, ContainerState.RESTORING,
            ContainerState.BLOCKED);
        edge(ContainerStatus::restore, ContainerState.RESTORING, ContainerState.QUIESCING, ContainerState.BLOCKED);
        edge(ContainerStatus::restored, ContainerState.ACTIVE, ContainerState.RESTORING);
        edge(ContainerStatus::unset, ContainerState.UNSET, ContainerState.UNSET, ContainerState.ACTIVE,
            ContainerState.QUIESCING, ContainerState.BLOCKED, ContainerState.RESTORING);
        edge(ContainerStatus::close, ContainerState.CLOSED, ContainerState.UNSET);
    }

    @Test
    @DisplayName("what no edge leads to does not follow: nothing after CLOSED, no RESTORING without a quiet container")
    void nothingElseFollows() {
        for (ContainerState state : ContainerState.values()) {
            assertFalse(ContainerStatus.follows(ContainerState.CLOSED, state), "CLOSED to " + state);
        }
        assertFalse(ContainerStatus.follows(ContainerState.ACTIVE, ContainerState.RESTORING));
        assertFalse(ContainerStatus.follows(ContainerState.BLOCKED, ContainerState.ACTIVE));
        assertFalse(ContainerStatus.follows(ContainerState.ACTIVE, ContainerState.CLOSED));
    }
}
