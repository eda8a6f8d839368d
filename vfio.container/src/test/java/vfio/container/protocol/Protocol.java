// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import static vfio.api.ContainerState.ACTIVE;
import static vfio.api.ContainerState.BLOCKED;
import static vfio.api.ContainerState.CLOSED;
import static vfio.api.ContainerState.QUIESCING;
import static vfio.api.ContainerState.RESTORING;

import java.util.List;
import java.util.stream.IntStream;
import vfio.container.protocol.Explorer.Moves;
import vfio.container.protocol.State.Access;
import vfio.container.protocol.State.Box;
import vfio.container.protocol.State.Cell;
import vfio.container.protocol.State.Control;
import vfio.container.protocol.State.Gate;
import vfio.container.protocol.State.Job;
import vfio.container.protocol.State.Late;
import vfio.container.protocol.State.Reason;
import vfio.container.protocol.State.Route;
import vfio.container.protocol.State.Step;
import vfio.container.protocol.State.Tables;
import vfio.container.protocol.State.User;
import vfio.container.protocol.State.Where;

/**
 * The protocol of decision 12, step by step, with everybody it has to do with: the thread that swaps, the containers'
 * users, devices, late calls, the core that serves interrupts. One step is what nobody can look into: one read or write
 * of what is shared. Where one may go either way, both are told.
 *
 * @param flaw what is done wrong
 */
public record Protocol(Scope scope, Flaw flaw) implements Explorer.Model<State> {
    private static final int VECTORS = 2;

    @Override
    public State initial() {
        List<Box> boxes = IntStream.range(0, scope.containers())
            .mapToObj(i -> new Box(ACTIVE, Gate.OPEN, Reason.NONE, true, true, true,
            User.IDLE, new Tables(Cell.RIGHT, true, true), Tables.GONE, Late.NONE, Access.NONE, Access.NONE,
            new Route(i, i, i, false, false, false))).toList();
        return new State(true, true, true, true, Control.IDLE, boxes, "");
    }

    @Override
    public void next(State state, Moves<State> to) {
        if (state.control().step() == Step.IDLE) {
            comings(state, to);
        } else {
            control(state, to);
        }
        for (int i = 0; i < scope.containers(); i++) {
            Box box = state.box(i);
            if (scope.users()) {
                user(state, i, box, to);
            }
            if (scope.dma()) {
                dma(state, i, box, to);
            }
            if (scope.msi() && box.phase() != CLOSED) {
                msi(state, i, box, to);
            }
            if (scope.hanging()) {
                late(state, i, box, to);
            }
            if (box.gate() == Gate.STALL) {
                to.to(i + 1, "the stall bound passes", state.box(i, box.gate(Gate.REFUSE)));
            }
        }
    }

    // What happens to the machine and its bundles while nothing is being swapped.

    void comings(State state, Moves<State> to) {
        if (scope.providers()) {
            providers(state, to);
        }
        if (scope.routing()) {
            routing(state, to);
        }
    }

    private void providers(State state, Moves<State> to) {
        if (state.provider()) {
            to.to(0, "the provider leaves", state.control(new Control(Job.PROVIDER_LEAVES, Step.SHUT, 0, false, '-')));
            if (state.boxes().stream().anyMatch(box -> box.phase() == BLOCKED)) {
                to.to(0, "retry", state.control(new Control(Job.RESTORE, Step.REPLAY, 0, false, '-')));
            }
            for (int i = 0; i < scope.containers(); i++) {
                Box box = state.box(i);
                if (box.phase() == ACTIVE && box.user() == User.IDLE) {
                    to.to(i + 1, "swap", state.control(new Control(Job.SWAP, Step.SHUT, i, false, '-')));
                }
            }
        } else if (state.unit()) {
            // A driver begins with tables of its own: nothing of before is looked at.
            State fresh = state.provider(true).boxes(box -> box.old(Tables.GONE, Late.NONE));
            to.to(0, "a provider arrives", flaw == Flaw.NEWCOMER_RESTORES_NOBODY ? fresh
                : fresh.control(new Control(Job.RESTORE, Step.REPLAY, 0, false, '-')));
            to.to(0, "the unit leaves",
                state.unit(false).boxes(box -> box.tables(Tables.GONE).old(Tables.GONE, Late.NONE)));
        } else {
            to.to(0, "the unit arrives", state.unit(true));
        }
        if (scope.hanging()) {
            for (int i = 0; i < scope.containers(); i++) {
                Box box = state.box(i);
                if (box.phase() == BLOCKED && box.user() == User.IDLE) {
                    // A device might still reach it: then nobody lets go of anything.
                    boolean known = box.late() != Late.NONE
                        || box.old().attached() && flaw != Flaw.LATE_CALL_NOT_UNDONE;
                    Box closed = box.phase(CLOSED).gate(Gate.OPEN).ledger(false, false, false);
                    if (!known || flaw == Flaw.CLOSED_BESIDE_A_LATE_CALL) {
                        to.to(i + 1, "its user closes it", state.box(i, closed));
                    } else if (box.late() == Late.NONE) {
                        to.to(i + 1, "its user closes it, and what did not close does",
                            state.box(i, closed.old(Tables.GONE, Late.NONE)));
                    }
                }
            }
        }
    }

    private void routing(State state, Moves<State> to) {
        if (state.controller()) {
            to.to(0, "the interrupt controller is about to leave",
                state.control(new Control(Job.MESSAGES_STOP, Step.SHUT, 0, false, 'c')));
        } else {
            // Who could not be restored for want of it is tried again.
            State there = state.controller(true);
            to.to(0, "an interrupt controller arrives",
                there.control(new Control(Job.MESSAGES_GO, Step.CONNECT, 0, false, 'c')));
        }
        if (state.strategy()) {
            to.to(0, "the strategy is about to leave", state.controller()
                ? state.control(new Control(Job.MESSAGES_STOP, Step.SHUT, 0, false, 's')) : state.strategy(false));
        } else {
            State there = state.strategy(true);
            to.to(0, "a strategy arrives", there.routable() ? there.control(go()) : there);
        }
        if (state.routable()
            && state.boxes().stream().anyMatch(box -> box.phase() == ACTIVE && box.route().vector() < 0)) {
            to.to(0, "retry, for a vector", state.control(go()));
        }
    }

    private static Control go() {
        return new Control(Job.MESSAGES_GO, Step.CONNECT, 0, false, '-');
    }

    // The thread that swaps. It holds the topology lock, and a container's lock while it is at that container.

    void control(State state, Moves<State> to) {
        Control control = state.control();
        int at = control.box();
        Box box = state.box(at);
        switch (control.step()) {
            case SHUT -> shut(state, control, at, box, to);
            case DRAIN -> {
                if (box.drained()) {
                    if (control.job() != Job.MESSAGES_STOP) {
                        to.to(at + 1, "drained", state.control(control.step(Step.CLOSE)));
                    } else if (at + 1 < scope.containers()) {
                        to.to(at + 1, "drained", state.control(control.box(Step.DRAIN, at + 1)));
                    } else {
                        to.to(at + 1, "drained", state.control(control.box(Step.SERVE, 0)));
                    }
                }
            }
            case CLOSE -> close(state, control, at, box, to);
            case SERVE -> {
                if (flaw == Flaw.VECTOR_RELEASED_WHILE_PENDING
                || state.boxes().stream().noneMatch(one -> one.route().pending())) {
                    to.to(0, "nothing is pending in the controller", state.control(control.step(Step.RELEASE)));
                } else {
                    to.to(0, "the cores do not serve in time: what may be pending is presumed",
                    state.control(control.step(Step.RELEASE))
                        .boxes(one -> one.route().vector() < 0 ? one : one.route(one.route().keep())));
                }
            }
            case RELEASE -> {
                Box released = box.route(box.route().released()).tables(box.tables().bell(false));
                if (box.phase() == QUIESCING) {
                    released = released.phase(ACTIVE)
                        .gate(flaw == Flaw.OPEN_WITHOUT_A_VECTOR ? Gate.OPEN : Gate.MESSAGES);
                }
                to.to(at + 1, "vector and doorbell released; the gate lets memory pass",
                next(state.box(at, released), control, at));
            }
            case LEFT -> to.to(0, "the provider is gone", state.provider(false).control(Control.IDLE));
            case REPLAY -> replay(state, control, at, box, to);
            case VERIFY -> {
                if (box.tables().cell() == Cell.WRONG && flaw != Flaw.NOT_VERIFIED) {
                    to.to(at + 1, "reading back finds something else", failed(state, control, at, false));
                } else {
                    to.to(at + 1, "read back", state.control(control.step(Step.ATTACH)));
                }
            }
            case CONNECT -> connect(state, control, at, box, to);
            case FLUSH -> {
                // A device answers a read of its registers behind the messages it has sent.
                if (box.msi().where() == Where.IDLE || box.msi().message() == box.route().message()
                || flaw == Flaw.NOT_FLUSHED) {
                    to.to(at + 1, "the device has sent what it had to send with its message before",
                        state.control(control.step(Step.BELL)));
                }
            }
            case BELL -> {
                boolean early = flaw == Flaw.OPEN_BEFORE_DOORBELL && control.job() == Job.MESSAGES_GO
                && box.gate() != Gate.OPEN;
                State next = early ? state.box(at, box.gate(Gate.OPEN))
                    : state.box(at, box.tables(box.tables().bell(box.route().vector() >= 0)));
                to.to(at + 1, early ? "gate open" : "doorbell mapped",
                early ? next : next.control(control.step(Step.OPEN)));
            }
            case ATTACH -> attach(state, control, at, box, to);
            case OPEN -> {
                Box open = box.phase(ACTIVE).reason(Reason.NONE)
                    .gate(box.route().vector() < 0 && flaw != Flaw.OPEN_WITHOUT_A_VECTOR ? Gate.MESSAGES : Gate.OPEN);
                if (flaw == Flaw.KEEPER_FORGETS_AT_OPENING) {
                    Route route = box.route();
                    open = open.route(
                    new Route(route.vector(), route.message(), route.earlier(), false, route.pending(), route.owed()));
                }
                to.to(at + 1, "gate open",
                    state.box(at, flaw == Flaw.KEPT_DELIVERED_BEFORE_DRAIN ? open : open.draining())
                    .control(control.step(Step.OPENED)));
            }
            case OPENED -> {
                if (box.drained()) {
                    to.to(at + 1, "nobody is at the bar any more", state.control(control.step(Step.DELIVER)));
                }
            }
            case DELIVER -> {
                State then = state;
                if (box.route().vector() >= 0 && box.route().kept()) {
                    then = deliver(state, at, box,
                    flaw == Flaw.KEPT_DELIVERED_TWICE ? box.route().served() : box.route().delivered());
                }
                if (flaw == Flaw.OLD_CLOSED_AFTER_OPENING && control.job() == Job.SWAP) {
                    to.to(at + 1, "what was kept is delivered", then.control(control.step(Step.CLOSE_OLD)));
                } else {
                    to.to(at + 1, "what was kept is delivered", next(then, control, at));
                }
            }
            case CLOSE_OLD -> to.to(at + 1, "old domain closed",
                next(state.box(at, box.tables(Tables.GONE)), control, at));
            default -> throw new AssertionError(control);
        }
    }

    private void shut(State state, Control control, int at, Box box, Moves<State> to) {
        if (box.phase() == BLOCKED || box.phase() == CLOSED) {
            to.to(at + 1, "is not active: passed over", passedOver(state, control, at));
            return;
        }
        boolean hung = box.user() == User.HANGS_MAPPING || box.user() == User.HANGS_UNMAPPING;
        if (box.user() != User.IDLE
            && !(hung && control.job() == Job.PROVIDER_LEAVES && flaw != Flaw.GATE_WAITS_FOR_THE_LOCK)) {
            return;
        }
        if (flaw == Flaw.OLD_CLOSED_BEFORE_SHUT && box.tables().attached() && control.job() != Job.MESSAGES_STOP) {
            to.to(at + 1, "domain closed", state.box(at, box.tables(Tables.GONE)));
            return;
        }
        Box quiet = box.phase(QUIESCING);
        Box shut = flaw == Flaw.NO_DRAIN_IN_SHUT
            || flaw == Flaw.VECTOR_RELEASED_BEFORE_DRAIN && control.job() == Job.MESSAGES_STOP ? quiet
                : quiet.draining();
        Control then = control.job() != Job.MESSAGES_STOP ? control.step(Step.DRAIN)
            : at + 1 < scope.containers() ? control.box(Step.SHUT, at + 1) : control.box(Step.DRAIN, 0);
        to.to(at + 1, "gate shut; accesses wait", state.box(at, shut.gate(Gate.STALL)).control(then));
        if (scope.aborting()) {
            to.to(at + 1, "gate shut; accesses are refused", state.box(at, shut.gate(Gate.REFUSE)).control(then));
        }
    }

    private State passedOver(State state, Control control, int at) {
        if (control.job() == Job.MESSAGES_STOP) {
            return state
                .control(at + 1 < scope.containers() ? control.box(Step.SHUT, at + 1) : control.box(Step.DRAIN, 0));
        }
        return next(state, control, at);
    }

    private void close(State state, Control control, int at, Box box, Moves<State> to) {
        boolean leaving = control.job() == Job.PROVIDER_LEAVES;
        Box after = (leaving ? box.phase(BLOCKED).reason(flaw == Flaw.NO_REASON ? Reason.NONE : Reason.GONE)
            : box.phase(RESTORING)).tables(Tables.GONE);
        if (flaw == Flaw.LEDGER_LOST_WITH_THE_DOMAIN) {
            after = after.ledger(false, after.believed(), false);
        }
        if (leaving && box.user() != User.IDLE) {
            to.to(at + 1, "its user is inside the provider: the rest waits for him",
                next(state.box(at, after.old(box.tables(), Late.NONE)), control, at));
            return;
        }
        State closed = state.box(at, after);
        if (flaw == Flaw.OLD_CLOSED_AFTER_OPENING && !leaving) {
            to.to(at + 1, "a second domain for the same devices", state.box(at, box).control(control.step(Step.OPEN)));
        } else {
            to.to(at + 1, "domain closed",
                leaving ? next(closed, control, at) : closed.control(control.step(Step.REPLAY)));
        }
        if (scope.hanging() && !leaving) {
            // What hangs may happen yet.
            to.to(at + 1, "closing the domain hangs: given up", flaw == Flaw.HANGING_CLOSE_TAKEN_FOR_NONE
                ? state.box(at, box.old(box.tables(), Late.DONE).tables(Tables.GONE)).control(control.step(Step.OPEN))
                : next(state.box(at, after.old(box.tables(), Late.DONE).phase(BLOCKED).reason(Reason.FAILED)), control,
                    at));
        }
        if (scope.throwing()) {
            if (leaving) {
                State open = state.box(at, after.old(box.tables(), Late.NONE));
                to.to(at + 1, "closing the domain throws",
                    flaw == Flaw.FIRST_FAILURE_ENDS_ALL ? open.control(control.step(Step.LEFT))
                    : next(open, control, at));
            } else {
                to.to(at + 1, "closing the domain throws: nothing has changed", state.control(control.step(Step.OPEN)));
            }
        }
    }

    private void replay(State state, Control control, int at, Box box, Moves<State> to) {
        if (control.job() == Job.RESTORE && (box.phase() != BLOCKED || box.user() != User.IDLE)) {
            to.to(at + 1, "is not to be restored: passed over", next(state, control, at));
            return;
        }
        Box restoring = box.phase(RESTORING);
        if (box.late() != Late.NONE) {
            to.to(at + 1, "an earlier call hangs: the provider is not asked", failed(state, control, at, false));
            return;
        }
        Tables table = new Tables(box.ledger() ? Cell.RIGHT : Cell.NONE, box.route().vector() >= 0, false);
        to.to(at + 1, "ledger replayed", state.box(at, restoring.tables(table)).control(control.step(Step.VERIFY)));
        if (scope.lying() && box.ledger()) {
            to.to(at + 1, "something else replayed", state.box(at, restoring.tables(table.cell(Cell.WRONG)))
                .control(control.step(Step.VERIFY)));
        }
        if (scope.throwing()) {
            to.to(at + 1, "replaying throws", failed(state, control, at, false));
        }
    }

    private void connect(State state, Control control, int at, Box box, Moves<State> to) {
        if (control.job() == Job.MESSAGES_GO && (box.phase() != ACTIVE || !state.routable())) {
            to.to(at + 1, "is not active: passed over", next(state, control, at));
            return;
        }
        if (box.user() != User.IDLE) {
            return;
        }
        if (!state.routable() || box.route().vector() >= 0) {
            to.to(at + 1, "no vector is missing", state.control(control.step(Step.BELL)));
            return;
        }
        for (int i = 0; i < VECTORS; i++) {
            int vector = i;
            if (state.boxes().stream().noneMatch(one -> one.route().vector() == vector)) {
                to.to(at + 1, "gets vector " + vector + ", device programmed",
                    state.box(at, box.route(box.route().connected(vector))).control(control.step(Step.FLUSH)));
            }
        }
        if (scope.throwing()) {
            to.to(at + 1, "allocating a vector throws: its messages stay kept", state.control(control.step(Step.BELL)));
        }
    }

    private void attach(State state, Control control, int at, Box box, Moves<State> to) {
        Tables tables = box.tables();
        if (flaw == Flaw.OPEN_BEFORE_ATTACH && box.gate() != Gate.OPEN) {
            to.to(at + 1, "gate open", state.box(at, box.gate(Gate.OPEN)));
            return;
        }
        if (box.old().attached()) {
            to.to(at + 1, "attaching throws: a domain that did not close has the device",
                failed(state, control, at, false));
            return;
        }
        to.to(at + 1, "device attached", state.box(at, box.phase(ACTIVE).tables(tables.attached(true)))
            .control(control.step(Step.CONNECT)));
        if (scope.throwing()) {
            to.to(at + 1, "attaching throws", failed(state, control, at, false));
            to.to(at + 1, "attaching the last device throws, and so does closing", failed(state, control, at, true));
        }
        if (scope.hanging()) {
            State given = failed(state, control, at, false);
            to.to(at + 1, "attaching hangs: given up", given.box(at, given.box(at).old(tables, Late.CALLING)));
        }
    }

    /** A step has failed: the half domain is closed, if it can be. */
    private State failed(State state, Control control, int at, boolean stays) {
        Box box = state.box(at);
        Box half = (stays ? box.old(box.tables().attached(true), Late.NONE) : box).tables(Tables.GONE);
        if (control.job() == Job.SWAP && !control.rollback()) {
            return state.box(at, half.phase(RESTORING)).control(control.back(Step.REPLAY));
        }
        half = half.phase(BLOCKED).reason(flaw == Flaw.NO_REASON ? Reason.NONE : Reason.FAILED);
        return next(state.box(at, flaw == Flaw.OPEN_THOUGH_FAILED ? half.gate(Gate.OPEN) : half), control, at);
    }

    /** This container is done; the next one, or the end. */
    private State next(State state, Control control, int at) {
        boolean last = at + 1 == scope.containers();
        return switch (control.job()) {
            case PROVIDER_LEAVES -> state.control(last ? control.step(Step.LEFT) : control.box(Step.SHUT, at + 1));
            case RESTORE -> state.control(last ? Control.IDLE : control.box(Step.REPLAY, at + 1));
            case MESSAGES_GO -> state.control(!last ? control.box(Step.CONNECT, at + 1)
            : control.which() == 'c' && state.provider()
                ? new Control(Job.RESTORE, Step.REPLAY, 0, false, '-') : Control.IDLE);
            case MESSAGES_STOP -> !last ? state.control(control.box(Step.RELEASE, at + 1))
                : control.which() == 'c' ? state.controller(false).control(Control.IDLE)
                : state.strategy(false).control(Control.IDLE);
            default -> state.control(Control.IDLE);
        };
    }

    // The user of a container. Who needs the IOMMU waits unless it is ACTIVE.

    void user(State state, int at, Box box, Moves<State> to) {
        boolean free = box.phase() == ACTIVE && !(state.control().step() != Step.IDLE && state.control().box() == at);
        switch (box.user()) {
            case IDLE -> {
                if (free && !box.ledger()) {
                    to.to(at + 1, "its user maps: in the tables", state.box(at, box.user(User.MAPPING)
                        .tables(box.tables().cell(Cell.RIGHT)).ledger(false, false, true)));
                } else if (free) {
                    Box unmapping = box.user(User.UNMAPPING).tables(box.tables().cell(Cell.NONE));
                    to.to(at + 1, "its user unmaps: out of the tables",
                        state.box(at, flaw == Flaw.UNMAP_DOES_NOT_DRAIN ? unmapping : unmapping.draining()));
                } else if (flaw == Flaw.MAPPED_WHILE_BLOCKED && box.phase() == BLOCKED && !box.ledger()) {
                    to.to(at + 1, "its user maps", state.box(at, box.ledger(false, true, true)));
                }
                if (free && scope.hanging()) {
                    to.to(at + 1, "its user's call hangs in the provider",
                        state.box(at, box.user(box.ledger() ? User.HANGS_UNMAPPING : User.HANGS_MAPPING)));
                }
            }
            case MAPPING ->
            to.to(at + 1, "its user has mapped", state.box(at, box.user(User.IDLE).ledger(true, true, true)));
            case UNMAPPING -> {
                if (box.drained()) {
                    to.to(at + 1, "its user has unmapped",
                        state.box(at, box.user(User.IDLE).ledger(false, false, false)));
                } else if (flaw == Flaw.LEDGER_BEFORE_UNMAP_DRAINED && box.held()) {
                    to.to(at + 1, "memory released", state.box(at, box.ledger(true, true, false)));
                }
            }
            default -> hanging(state, at, box, to);
        }
    }

    private void hanging(State state, int at, Box box, Moves<State> to) {
        if (box.phase() == ACTIVE && !(state.control().step() != Step.IDLE && state.control().box() == at)) {
            to.to(at + 1, "its user's call has thrown after all", state.box(at, box.user(User.IDLE)));
            to.to(at + 1, "its user's call has worked after all", state.box(at, box.user() == User.HANGS_MAPPING
                ? box.user(User.MAPPING).tables(box.tables().cell(Cell.RIGHT)).ledger(false, false, true)
                : box.user(User.UNMAPPING).tables(box.tables().cell(Cell.NONE)).draining()));
        } else if (box.phase() == BLOCKED && state.control().step() == Step.IDLE) {
            // The lock is free: now the rest of the departure.
            State free = state.box(at, box.user(User.IDLE).old(Tables.GONE, Late.NONE));
            to.to(at + 1, "its user's call has thrown at last", state.provider() && flaw != Flaw.DEPARTURE_FORGOTTEN
                ? free.control(new Control(Job.RESTORE, Step.REPLAY, 0, false, '-')) : free);
        }
    }

    // A call that was given up and returns at last.

    private void late(State state, int at, Box box, Moves<State> to) {
        if (box.late() == Late.CALLING) {
            if (!box.tables().attached()) {
                to.to(at + 1, "the call that was given up attaches the device",
                    state.box(at,
                        box.old(box.old().attached(true), flaw == Flaw.LATE_CALL_NOT_UNDONE ? Late.NONE : Late.DONE)));
            }
            to.to(at + 1, "the call that was given up throws", state.box(at, box.old(Tables.GONE, Late.NONE)));
        } else if (box.late() == Late.DONE) {
            to.to(at + 1, "what the late call did is undone", state.box(at, box.old(Tables.GONE, Late.NONE)));
        }
    }

    // The device's DMA: counted in, meets the gate or nothing, translated, done, counted out.

    private void dma(State state, int at, Box box, Moves<State> to) {
        Access dma = box.dma();
        switch (dma.where()) {
            case IDLE -> {
                if (flaw != Flaw.COUNTED_AFTER_THE_GATE) {
                    to.to(at + 1, "DMA begins", state.box(at, box.dma(dma.at(Where.COUNTED))));
                } else if (box.gate() == Gate.OPEN) {
                    to.to(at + 1, "DMA meets no gate", state.box(at, box.dma(dma.at(Where.READY))));
                }
            }
            case READY -> to.to(at + 1, "DMA is counted", state.box(at, box.dma(dma.at(Where.PASSED))));
            case COUNTED -> {
                switch (box.gate()) {
                    case OPEN, MESSAGES -> to.to(at + 1, "DMA passes", state.box(at, box.dma(dma.at(Where.PASSED))));
                    case STALL -> to.to(at + 1, "DMA waits at the gate",
                        state.box(at, box.dma(Access.NONE.at(Where.WAITING))));
                    case REFUSE -> to.to(at + 1, "DMA is refused at the gate", state.box(at, box.dma(Access.NONE)));
                }
            }
            case WAITING -> {
                if (box.gate() != Gate.STALL) {
                    to.to(at + 1, "DMA goes on", state.box(at, box.dma(dma.at(Where.COUNTED))));
                }
            }
            case PASSED -> translate(state, at, box, to);
            case MEMORY -> to.to(at + 1, "DMA writes", landed(state.box(at, box.dma(Access.NONE)), box, box.held() ? ""
                : box.phase() == CLOSED ? "P1: a write to memory that was let go"
                : "P3: a write after unmap has returned"));
            case ASTRAY -> to.to(at + 1, "DMA writes",
                state.box(at, box.dma(Access.NONE)).wrong("P1: a write to memory that is not mapped"));
            default -> throw new AssertionError(dma);
        }
    }

    private static State landed(State after, Box box, String wrong) {
        return after.wrong(!wrong.isEmpty() ? wrong : box.phase() == BLOCKED || box.phase() == RESTORING
            ? "P2: a write lands while all is blocked" : "");
    }

    Tables hardware(State state, Box box) {
        return !state.unit() ? Tables.GONE
            : box.tables().attached() ? box.tables() : box.old().attached() ? box.old() : Tables.GONE;
    }

    private void translate(State state, int at, Box box, Moves<State> to) {
        Cell found = hardware(state, box).cell();
        if (!state.unit() && flaw == Flaw.UNIT_AWAY_IS_BYPASS) {
            found = Cell.WRONG;
        }
        switch (found) {
            case RIGHT -> to.to(at + 1, "DMA is translated", state.box(at, box.dma(box.dma().at(Where.MEMORY))));
            case WRONG ->
            to.to(at + 1, "DMA is translated to somewhere else", state.box(at, box.dma(box.dma().at(Where.ASTRAY))));
            case NONE -> {
                boolean due = !box.ledger() || box.user() == User.UNMAPPING;
                to.to(at + 1, "DMA is refused by the IOMMU", state.box(at, box.dma(Access.NONE))
                    .wrong(due ? "" : "a fault that was not due: refused by the IOMMU though it is mapped"));
            }
        }
    }

    // The device's MSI: a write like any other, of what its registers say, and the core that serves it.

    void msi(State state, int at, Box box, Moves<State> to) {
        Access msi = box.msi();
        Route route = box.route();
        Box sent = box.msi(Access.NONE);
        switch (msi.where()) {
            case IDLE -> to.to(at + 1, "MSI: the device reads its registers",
                state.box(at, box.msi(new Access(Where.READY, route.message(), false))));
            case READY -> to.to(at + 1, "MSI begins", state.box(at, box.msi(msi.at(Where.COUNTED))));
            case COUNTED -> to.to(at + 1, box.gate() == Gate.OPEN ? "MSI passes" : "MSI meets the gate", state.box(at,
                box.msi(msi.at(box.gate() == Gate.OPEN ? Where.PASSED : Where.AT_BAR))));
            case AT_BAR -> {
                boolean known = msi.message() == route.message()
                    || msi.message() == route.earlier() && flaw != Flaw.EARLIER_MESSAGE_UNKNOWN;
                if (known && flaw != Flaw.MESSAGE_WAITS_LIKE_MEMORY) {
                    to.to(at + 1, "MSI is kept", state.box(at, sent.route(route.keep())));
                } else {
                    to.to(at + 1, "MSI is refused", state.box(at, sent).wrong("P5: a message is refused at the gate"));
                }
            }
            case PASSED -> {
                boolean rings = hardware(state, box).bell();
                to.to(at + 1, rings ? "MSI is translated" : "MSI is refused",
                rings ? state.box(at, box.msi(msi.at(Where.BELL)))
                    : state.box(at, sent).wrong("P5: a message is refused by the IOMMU"));
            }
            case BELL -> {
                if (msi.message() == route.vector()) {
                    to.to(at + 1, "MSI rings", state.box(at, sent.route(route.rung())));
                } else {
                    boolean others = state.boxes().stream().anyMatch(one -> one.route().vector() == msi.message());
                    to.to(at + 1, "MSI rings", state.box(at, sent).wrong(others
                        ? "P7: a message rings a vector of another container"
                    : "P5: a message rings a vector that is nobody's"));
                }
            }
            default -> throw new AssertionError(msi);
        }
        if (flaw == Flaw.GATE_OPENED_BY_A_CALL && state.control().job() == Job.MESSAGES_STOP && box.phase() == QUIESCING
                && state.control().step() != Step.SHUT && box.gate() != Gate.OPEN) {
            to.to(at + 1, "its user's call ends with opening the gate", state.box(at, box.gate(Gate.OPEN)));
        }
        if (route.pending() && state.controller()) {
            to.to(at + 1, "the core serves the interrupt", deliver(state, at, box, route.served()));
        }
    }

    private static State deliver(State state, int at, Box box, Route after) {
        return state.box(at, box.route(after))
            .wrong(box.route().owed() ? "" : "P5: an interrupt arrives that no device has sent");
    }

    // The promises.

    @Override
    public String broken(State state) {
        if (!state.wrong().isEmpty()) {
            return state.wrong();
        }
        for (int i = 0; i < scope.containers(); i++) {
            Box box = state.box(i);
            boolean busy = state.control().step() != Step.IDLE || box.user() != User.IDLE;
            String broken = box.phase() == CLOSED ? "" : always(box);
            if (broken.isEmpty() && !busy) {
                broken = switch (box.phase()) {
                    case ACTIVE -> active(state, box);
                    case BLOCKED -> blocked(state, box);
                    case CLOSED -> "";
                    default -> "P4: left " + box.phase();
                };
            }
            if (!broken.isEmpty()) {
                return broken;
            }
        }
        return "";
    }

    private static String always(Box box) {
        if (box.ledger() != box.believed() && box.user() == User.IDLE) {
            return "P4: the ledger is not what the user was told";
        }
        boolean past = box.dma().where() == Where.PASSED || box.dma().where() == Where.MEMORY
            || box.msi().where() == Where.PASSED
            || box.msi().where() == Where.BELL;
        if (past && (box.phase() == BLOCKED || box.phase() == RESTORING)) {
            return "P2: an access is past the gate while all is blocked";
        }
        Route route = box.route();
        if (route.owed() && !route.kept() && !route.pending()) {
            return "P5: a message is neither kept nor pending, and has not arrived";
        }
        return "";
    }

    private static String active(State state, Box box) {
        if (!state.provider() || !box.tables().attached() || box.old().attached()
                || box.tables().cell() != (box.ledger() ? Cell.RIGHT : Cell.NONE)) {
            return "P4: ACTIVE, and the tables are not what the ledger says";
        }
        if (box.gate() == Gate.STALL || box.gate() == Gate.REFUSE || box.reason() != Reason.NONE) {
            return "P4: ACTIVE, and the gate is shut";
        }
        boolean routed = box.route().vector() >= 0;
        if (routed && (!state.routable() || !box.tables().bell() || box.gate() != Gate.OPEN)) {
            return "P4: ACTIVE with a vector, and there is no way to it";
        }
        if (!routed && box.gate() != Gate.MESSAGES) {
            return "P5: no vector, and the gate does not keep messages";
        }
        return routed && box.route().kept() ? "P5: a message is kept that nobody will deliver" : "";
    }

    private static String blocked(State state, Box box) {
        if (box.reason() == Reason.NONE) {
            return "P4: BLOCKED without a reason";
        }
        if (box.reason() == Reason.GONE && state.provider()) {
            return "P4: BLOCKED, there is a provider, and nobody has tried it";
        }
        return box.gate() == Gate.OPEN || box.gate() == Gate.MESSAGES || box.tables().attached()
            ? "P2: BLOCKED, and the gate is open"
            : "";
    }

    @Override
    public boolean good(State state) {
        return state.provider() && state.unit() && state.routable() && state.control().step() == Step.IDLE
            && state.boxes().stream().allMatch(box -> box.phase() == CLOSED && box.late() == Late.NONE
                || box.phase() == ACTIVE && box.gate() == Gate.OPEN && box.user() == User.IDLE && !box.route().owed()
                    && box.dma().where() == Where.IDLE && box.msi().where() == Where.IDLE);
    }
}
