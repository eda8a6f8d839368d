// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Visits every state that a model can reach, breadth first, and looks at each: nothing is sampled and nothing left out.
 * What it finds is therefore found on a shortest way. Afterwards it looks back from the good states: from every state
 * one must be within reach.
 *
 * @param <S> a state: immutable, with equals and hashCode
 */
public final class Explorer<S> {
    /** What there is to explore. */
    public interface Model<S> {
        S initial();

        /** Tells every state that may come next, whoever moves. */
        void next(S state, Moves<S> moves);

        /** {@return which promise is broken in that state; empty if none is} */
        String broken(S state);

        /** Whether all is well there: such a state must stay within reach. */
        boolean good(S state);
    }

    /** Takes the moves from one state. */
    @FunctionalInterface
    public interface Moves<S> {
        /** @param who 0 for nobody in particular */
        void to(int who, String what, S next);
    }

    /** The model has more states than it was meant to have. */
    public static final class TooLarge extends RuntimeException {
        private static final long serialVersionUID = 1;

        TooLarge(int most) {
            super("more than " + most + " states");
        }
    }

    /**
     * What came of it.
     *
     * @param broken the promise that does not hold; empty if all do
     * @param trace the shortest way there, in words
     */
    public record Result(int states, long transitions, int depth, String broken, List<String> trace) {
        @Override
        public String toString() {
            String size = String.format("%,d states, %,d transitions, depth %d", states, transitions, depth);
            return broken.isEmpty() ? size
                : broken + "\n  " + String.join("\n  ", trace) + "\n(" + size + " until then)";
        }
    }

    private final Model<S> model;
    private final int most;
    /** States' numbers by their hash, plus one; open addressing, as there are many. */
    private int[] slots = new int[4096];
    private final List<S> states = new ArrayList<>();
    private final List<String> moves = new ArrayList<>();
    private int[] from = new int[1024];
    private int[] depth = new int[1024];
    /** Transitions as pairs of state numbers. */
    private int[] edges = new int[4096];
    private int ends;

    /** @param most more states than this are a mistake in the model */
    Explorer(Model<S> model, int most) {
        this.model = model;
        this.most = most;
    }

    Result explore() {
        reach(-1, "begin", model.initial());
        for (int at = 0; at < states.size(); at++) {
            S state = states.get(at);
            String broken = model.broken(state);
            if (!broken.isEmpty()) {
                return result(at, broken);
            }
            int source = at;
            model.next(state, (who, what, next) -> edge(source,
                reach(source, who == 0 ? what : "container " + who + ": " + what, next)));
        }
        int lost = lost();
        return lost < 0 ? new Result(states.size(), ends / 2, depth[states.size() - 1], "", List.of())
            : result(lost, "no way leads back from here to where all is well");
    }

    private int reach(int source, String move, S state) {
        int slot = slot(state);
        if (slots[slot] != 0) {
            return slots[slot] - 1;
        }
        int number = states.size();
        if (number >= most) {
            throw new TooLarge(most);
        }
        if (number == from.length) {
            from = Arrays.copyOf(from, 2 * number);
            depth = Arrays.copyOf(depth, 2 * number);
        }
        slots[slot] = number + 1;
        states.add(state);
        moves.add(move.intern());
        from[number] = source;
        depth[number] = source < 0 ? 0 : depth[source] + 1;
        if (2 * states.size() > slots.length) {
            slots = new int[2 * slots.length];
            for (int i = 0; i < states.size(); i++) {
                slots[slot(states.get(i))] = i + 1;
            }
        }
        return number;
    }

    /** {@return where the state is, or is to be} */
    private int slot(S state) {
        int hash = state.hashCode();
        int slot = (hash ^ hash >>> 15) * 0x9e3779b1 >>> 7 & slots.length - 1;
        while (slots[slot] != 0 && !states.get(slots[slot] - 1).equals(state)) {
            slot = slot + 1 & slots.length - 1;
        }
        return slot;
    }

    private void edge(int source, int target) {
        if (ends == edges.length) {
            edges = Arrays.copyOf(edges, 2 * ends);
        }
        edges[ends++] = source;
        edges[ends++] = target;
    }

    /** {@return the first state from which no good one can be reached, -1 if there is none} */
    private int lost() {
        int count = states.size();
        int[] start = new int[count + 1];
        for (int i = 1; i < ends; i += 2) {
            start[edges[i] + 1]++;
        }
        for (int i = 0; i < count; i++) {
            start[i + 1] += start[i];
        }
        int[] sources = new int[ends / 2];
        int[] fill = Arrays.copyOf(start, count);
        for (int i = 1; i < ends; i += 2) {
            sources[fill[edges[i]]++] = edges[i - 1];
        }
        boolean[] saved = new boolean[count];
        ArrayDeque<Integer> todo = new ArrayDeque<>();
        for (int i = 0; i < count; i++) {
            if (model.good(states.get(i))) {
                saved[i] = true;
                todo.add(i);
            }
        }
        while (!todo.isEmpty()) {
            int target = todo.remove();
            for (int i = start[target]; i < start[target + 1]; i++) {
                if (!saved[sources[i]]) {
                    saved[sources[i]] = true;
                    todo.add(sources[i]);
                }
            }
        }
        for (int i = 0; i < count; i++) {
            if (!saved[i]) {
                return i;
            }
        }
        return -1;
    }

    private Result result(int at, String broken) {
        List<String> trace = new ArrayList<>();
        for (int i = at; i >= 0; i = from[i]) {
            trace.add(0, moves.get(i));
        }
        trace.add(states.get(at).toString());
        return new Result(states.size(), ends / 2, depth[at], broken, trace);
    }
}
