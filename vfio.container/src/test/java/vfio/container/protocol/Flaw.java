// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

/**
 * A way to get the protocol wrong: for who wants to see that the explorer notices. Each with the scope that shows it,
 * and the promise.
 */
public enum Flaw {
    NONE("", null),
    NO_DRAIN_IN_SHUT("P2", Scope.MEMORY),
    COUNTED_AFTER_THE_GATE("P2", Scope.MEMORY),
    OLD_CLOSED_BEFORE_SHUT("a fault that was not due", Scope.MEMORY),
    OLD_CLOSED_AFTER_OPENING("P4", Scope.MEMORY),
    UNIT_AWAY_IS_BYPASS("P1", Scope.HANGING),
    OPEN_BEFORE_ATTACH("P2", Scope.MEMORY),
    NOT_VERIFIED("P4", Scope.MEMORY),
    OPEN_THOUGH_FAILED("P2", Scope.MEMORY),
    LEDGER_LOST_WITH_THE_DOMAIN("P4", Scope.MEMORY),
    NO_REASON("P4", Scope.MEMORY),
    UNMAP_DOES_NOT_DRAIN("P3", Scope.MEMORY),
    LEDGER_BEFORE_UNMAP_DRAINED("P3", Scope.MEMORY),
    MAPPED_WHILE_BLOCKED("P4", Scope.MEMORY),
    NEWCOMER_RESTORES_NOBODY("P4", Scope.MEMORY),
    LATE_CALL_NOT_UNDONE("P1", Scope.HANGING),
    CLOSED_BESIDE_A_LATE_CALL("P1", Scope.HANGING),
    HANGING_CLOSE_TAKEN_FOR_NONE("P4", Scope.HANGING),
    GATE_WAITS_FOR_THE_LOCK("no way leads back", Scope.HANGING),
    DEPARTURE_FORGOTTEN("P4", Scope.HANGING),
    FIRST_FAILURE_ENDS_ALL("P4", Scope.TWO_MEMORIES),
    VECTOR_RELEASED_BEFORE_DRAIN("P5", Scope.MESSAGES),
    VECTOR_RELEASED_WHILE_PENDING("P5", Scope.MESSAGES),
    GATE_OPENED_BY_A_CALL("P5", Scope.MESSAGES),
    MESSAGE_WAITS_LIKE_MEMORY("P5", Scope.MESSAGES),
    KEPT_DELIVERED_BEFORE_DRAIN("P5", Scope.MESSAGES),
    KEPT_DELIVERED_TWICE("P5", Scope.MESSAGES),
    OPEN_WITHOUT_A_VECTOR("P5", Scope.MESSAGES),
    EARLIER_MESSAGE_UNKNOWN("P5", Scope.MESSAGES),
    KEEPER_FORGETS_AT_OPENING("P5", Scope.MESSAGES),
    OPEN_BEFORE_DOORBELL("P5", Scope.MESSAGES),
    NOT_FLUSHED("P5", Scope.TWO_MESSAGES);

    /** How what is found begins. */
    final String promise;
    final Scope scope;

    Flaw(String promise, Scope scope) {
        this.promise = promise;
        this.scope = scope;
    }
}
