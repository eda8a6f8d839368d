// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import vfio.api.ContainerState;
import vfio.container.state.ContainerStatus;

/**
 * Everything the promises depend on, at one moment. Each container has one device, which does DMA to one page and sends
 * one MSI.
 *
 * @param provider whether the IOMMU type has a provider
 * @param unit whether the IOMMU's unit is plugged in
 * @param controller whether there is an interrupt controller
 * @param strategy whether there is an MSI strategy
 * @param control what the thread does that holds the topology lock
 * @param wrong a promise that the last step broke; empty if it broke none
 */
public record State(boolean provider, boolean unit, boolean controller, boolean strategy, Control control,
    List<Box> boxes, String wrong) {
    /** Why the control thread is at work. */
    public enum Job { NONE, PROVIDER_LEAVES, RESTORE, SWAP, MESSAGES_STOP, MESSAGES_GO }

    /** What it does next. */
    public enum Step {
        IDLE, SHUT, DRAIN, CLOSE, SERVE, RELEASE, LEFT, REPLAY, VERIFY, CONNECT, FLUSH, BELL, ATTACH, CLOSE_OLD, OPEN,
        OPENED, DELIVER
    }

    /**
     * The control thread.
     *
     * @param box which container it is at
     * @param rollback whether the newcomer of a swap has failed, and the present provider is to get everything back
     * @param which of controller and strategy leaves or has come
     */
    public record Control(Job job, Step step, int box, boolean rollback, char which) {
        static final Control IDLE = new Control(Job.NONE, Step.IDLE, 0, false, '-');

        @Override
        public int hashCode() {
            return ((job.ordinal() * 32 + step.ordinal()) * 4 + box) * 4 + (rollback ? 2 : 0) + (which == 'c' ? 1 : 0);
        }

        Control step(Step next) {
            return new Control(job, next, box, rollback, which);
        }

        Control box(Step next, int other) {
            return new Control(job, next, other, false, which);
        }

        Control back(Step next) {
            return new Control(job, next, box, true, which);
        }
    }

    /** What a container says of why it is blocked: its provider has gone; the last that tried could not take over. */
    public enum Reason { NONE, GONE, FAILED }

    /** What a port meets: nothing, a bar to wait at, the same when the bound has passed, a bar for messages alone. */
    public enum Gate { OPEN, STALL, REFUSE, MESSAGES }

    /** What the tables say of the page. */
    public enum Cell { NONE, RIGHT, WRONG }

    /** One domain. */
    public record Tables(Cell cell, boolean bell, boolean attached) {
        static final Tables GONE = new Tables(Cell.NONE, false, false);

        @Override
        public int hashCode() {
            return cell.ordinal() * 4 + (bell ? 2 : 0) + (attached ? 1 : 0);
        }

        Tables cell(Cell next) {
            return new Tables(next, bell, attached);
        }

        Tables bell(boolean next) {
            return new Tables(cell, next, attached);
        }

        Tables attached(boolean next) {
            return new Tables(cell, bell, next);
        }
    }

    /** Where the container's user is in a call; he holds its lock but in IDLE. */
    public enum User { IDLE, MAPPING, UNMAPPING, HANGS_MAPPING, HANGS_UNMAPPING }

    /** A call that was given up: not there, not done yet, done and not undone yet. */
    public enum Late { NONE, CALLING, DONE }

    /** Where an access is; all but the first two and the last have been counted as in flight. */
    public enum Where { IDLE, READY, COUNTED, AT_BAR, PASSED, MEMORY, ASTRAY, BELL, WAITING }

    /**
     * An access of the device.
     *
     * @param message what it sends if it is an MSI: a vector's number
     * @param old whether somebody who drains waits for it
     */
    public record Access(Where where, int message, boolean old) {
        static final Access NONE = new Access(Where.IDLE, -1, false);

        @Override
        public int hashCode() {
            return where.ordinal() * 16 + message * 2 + (old ? 1 : 0);
        }

        Access at(Where next) {
            return new Access(next, message, old);
        }

        boolean inFlight() {
            return where != Where.IDLE && where != Where.READY && where != Where.WAITING;
        }

        Access marked() {
            return inFlight() ? new Access(where, message, true) : this;
        }
    }

    /**
     * The device's MSI.
     *
     * @param vector what the controller has given, -1 while there is none
     * @param message what the device is programmed with: a vector's number
     * @param earlier the message before
     * @param kept the pending bit of the gate's keeper
     * @param pending that of the controller
     * @param owed whether a message has been sent that has not arrived: what the promise speaks of, no part of the
     *     protocol
     */
    public record Route(int vector, int message, int earlier, boolean kept, boolean pending, boolean owed) {
        @Override
        public int hashCode() {
            return ((vector * 4 + message) * 4 + earlier) * 8 + (kept ? 4 : 0) + (pending ? 2 : 0) + (owed ? 1 : 0);
        }

        Route connected(int next) {
            return new Route(next, next, message, kept, pending, owed);
        }

        Route released() {
            return new Route(-1, message, earlier, kept, false, owed);
        }

        Route keep() {
            return new Route(vector, message, earlier, true, pending, true);
        }

        Route rung() {
            return new Route(vector, message, earlier, kept, true, true);
        }

        /** The core has called the handler. */
        Route served() {
            return new Route(vector, message, earlier, kept, false, kept);
        }

        /** What was kept has been delivered. */
        Route delivered() {
            return new Route(vector, message, earlier, false, pending, pending);
        }
    }

    /**
     * A container with its device.
     *
     * @param reason why it is not active
     * @param ledger whether the page is in the ledger
     * @param believed whether the user has reason to think it is: what the promise speaks of
     * @param held whether the memory is still held: not held, its owner may have given it to somebody else
     * @param tables its domain
     * @param old a domain that is not the container's any more, although it did not close or a call of it was given up
     */
    public record Box(ContainerState phase, Gate gate, Reason reason, boolean ledger, boolean believed, boolean held,
        User user,
            Tables tables, Tables old, Late late, Access dma, Access msi, Route route) {
        /** By the table of the containers themselves; closing passes UNSET there, which has no place here. */
        Box phase(ContainerState next) {
            ContainerState at = next == ContainerState.CLOSED ? ContainerState.UNSET : next;
            if (next != phase && !ContainerStatus.follows(phase, at)) {
                throw new IllegalStateException("from " + phase + " to " + next);
            }
            return new Box(next, gate, reason, ledger, believed, held, user, tables, old, late, dma, msi, route);
        }

        Box gate(Gate next) {
            return new Box(phase, next, reason, ledger, believed, held, user, tables, old, late, dma, msi, route);
        }

        Box reason(Reason next) {
            return new Box(phase, gate, next, ledger, believed, held, user, tables, old, late, dma, msi, route);
        }

        /** A call of the user has returned, or the ledger was lost. */
        Box ledger(boolean next, boolean told, boolean hold) {
            return new Box(phase, gate, reason, next, told, hold, user, tables, old, late, dma, msi, route);
        }

        Box user(User next) {
            return new Box(phase, gate, reason, ledger, believed, held, next, tables, old, late, dma, msi, route);
        }

        Box tables(Tables next) {
            return new Box(phase, gate, reason, ledger, believed, held, user, next, old, late, dma, msi, route);
        }

        Box old(Tables next, Late call) {
            return new Box(phase, gate, reason, ledger, believed, held, user, tables, next, call, dma, msi, route);
        }

        Box dma(Access next) {
            return new Box(phase, gate, reason, ledger, believed, held, user, tables, old, late, next, msi, route);
        }

        Box msi(Access next) {
            return new Box(phase, gate, reason, ledger, believed, held, user, tables, old, late, dma, next, route);
        }

        Box route(Route next) {
            return new Box(phase, gate, reason, ledger, believed, held, user, tables, old, late, dma, msi, next);
        }

        /** Whoever drains has begun: it waits for what is in flight now, not for what comes later. */
        Box draining() {
            return dma(dma.marked()).msi(msi.marked());
        }

        /** The same in each run, and quick. */
        @Override
        public int hashCode() {
            int hash = phase.ordinal() * 31 + gate.ordinal();
            hash = (hash * 31 + user.ordinal()) * 31 + late.ordinal();
            hash = (hash * 31 + tables.hashCode()) * 31 + old.hashCode();
            hash = (hash * 31 + dma.hashCode()) * 31 + msi.hashCode();
            return (hash * 31 + route.hashCode()) * 8 + (ledger ? 4 : 0) + (held ? 2 : 0);
        }

        boolean drained() {
            return !dma.old() && !msi.old();
        }
    }

    @Override
    public int hashCode() {
        int hash = (provider ? 8 : 0) + (unit ? 4 : 0) + (controller ? 2 : 0) + (strategy ? 1 : 0);
        return (hash * 31 + control.hashCode()) * 31 + boxes.hashCode();
    }

    public Box box(int index) {
        return boxes.get(index);
    }

    State box(int index, Box next) {
        List<Box> changed = new ArrayList<>(boxes);
        changed.set(index, next);
        return new State(provider, unit, controller, strategy, control, List.copyOf(changed), wrong);
    }

    State boxes(UnaryOperator<Box> change) {
        return new State(provider, unit, controller, strategy, control, boxes.stream().map(change).toList(), wrong);
    }

    State control(Control next) {
        return new State(provider, unit, controller, strategy, next, boxes, wrong);
    }

    State provider(boolean next) {
        return new State(next, unit, controller, strategy, control, boxes, wrong);
    }

    State unit(boolean next) {
        return new State(provider, next, controller, strategy, control, boxes, wrong);
    }

    State controller(boolean next) {
        return new State(provider, unit, next, strategy, control, boxes, wrong);
    }

    State strategy(boolean next) {
        return new State(provider, unit, controller, next, control, boxes, wrong);
    }

    State wrong(String next) {
        return new State(provider, unit, controller, strategy, control, boxes, next);
    }

    boolean routable() {
        return controller && strategy;
    }
}
