// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import static vfio.api.ContainerState.ACTIVE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiPredicate;
import java.util.function.Consumer;
import vfio.container.protocol.State.Box;
import vfio.container.protocol.State.Cell;
import vfio.container.protocol.State.Gate;
import vfio.container.protocol.State.Step;
import vfio.container.protocol.State.User;
import vfio.container.protocol.State.Where;

/**
 * The model made to do one thing after the other, each to its end, so that it says what is to be expected of who does
 * the same in earnest. Accesses do not wait at a gate. Mutable; for one thread.
 */
public final class Script {
    /** What an access to the page is expected to come to. */
    public enum Reach { MEMORY, ASTRAY, UNMAPPED, BLOCKED }

    private record Move(int who, String what, State next) {
    }

    private final Protocol protocol;
    private final int[] arrived;
    private State state;

    public Script(Scope scope) {
        protocol = new Protocol(scope, Flaw.NONE);
        state = protocol.initial();
        arrived = new int[scope.containers()];
    }

    private Script(Script other) {
        protocol = other.protocol;
        state = other.state;
        arrived = other.arrived.clone();
    }

    public Script copy() {
        return new Script(this);
    }

    public State state() {
        return state;
    }

    /** {@return how many interrupts have arrived at a container's user} */
    public int arrived(int box) {
        return arrived[box];
    }

    /** Whether nothing of the kind can happen now. */
    public boolean never(int who, String what) {
        return find(comings(), who, what) == null;
    }

    /**
     * Something happens to machine or bundles, and the protocol does what it has to.
     *
     * @param who 0 for nobody, else one more than the container
     * @param faults which container's step goes wrong in which way
     */
    public void happens(int who, String what, BiPredicate<Integer, String> faults) {
        take(found(comings(), who, what));
        while (state.control().step() != Step.IDLE) {
            List<Move> moves = moves(to -> protocol.control(state, to));
            Move next = moves.get(0);
            for (Move move : moves) {
                if (move.what().equals("gate shut; accesses are refused")) {
                    next = move;
                }
            }
            for (Move move : moves.subList(1, moves.size())) {
                if (faults.test(move.who() - 1, move.what())) {
                    next = move;
                }
            }
            take(next);
        }
        good();
    }

    /** The user maps the page or unmaps it. */
    public void mapOrUnmap(int box) {
        do {
            take(moves(to -> protocol.user(state, box, state.box(box), to)).get(0));
        } while (state.box(box).user() != User.IDLE);
        good();
    }

    /** The device sends its message, and the core serves what comes of it. */
    public void ring(int box) {
        do {
            take(moves(to -> protocol.msi(state, box, state.box(box), to)).get(0));
        } while (state.box(box).msi().where() != Where.IDLE);
        if (state.box(box).route().pending()) {
            take(found(moves(to -> protocol.msi(state, box, state.box(box), to)), box + 1,
                "the core serves the interrupt"));
        }
        good();
    }

    /** {@return what a container's device reaches at the page} */
    public Reach reach(int index) {
        Box box = state.box(index);
        if (box.gate() == Gate.REFUSE || box.gate() == Gate.STALL) {
            return Reach.BLOCKED;
        }
        Cell cell = protocol.hardware(state, box).cell();
        return cell == Cell.RIGHT ? Reach.MEMORY : cell == Cell.WRONG ? Reach.ASTRAY : Reach.UNMAPPED;
    }

    public boolean active(int box) {
        return state.box(box).phase() == ACTIVE;
    }

    private void good() {
        String broken = protocol.broken(state);
        if (!broken.isEmpty()) {
            throw new AssertionError(broken + " in " + state);
        }
    }

    private void take(Move move) {
        for (int i = 0; i < arrived.length; i++) {
            boolean served = state.box(i).route().pending() && !move.next().box(i).route().pending()
                && move.what().equals("the core serves the interrupt");
            if (served || state.box(i).route().kept() && !move.next().box(i).route().kept()) {
                arrived[i]++;
            }
        }
        state = move.next();
    }

    private List<Move> comings() {
        return moves(to -> protocol.comings(state, to));
    }

    private static List<Move> moves(Consumer<Explorer.Moves<State>> from) {
        List<Move> moves = new ArrayList<>();
        from.accept((who, what, next) -> moves.add(new Move(who, what, next)));
        return moves;
    }

    private static Move find(List<Move> moves, int who, String what) {
        return moves.stream().filter(move -> move.who() == who && move.what().equals(what)).findFirst().orElse(null);
    }

    private static Move found(List<Move> moves, int who, String what) {
        Move move = find(moves, who, what);
        if (move == null) {
            throw new IllegalStateException("no " + what + " among " + Arrays.toString(moves.toArray()));
        }
        return move;
    }
}
