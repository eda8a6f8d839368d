// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Violation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import machine.api.Fault;
import machine.api.Refusal;

/** The record of all actions and their results. Thread-safe. */
final class Journal {
    /**
     * A transfer that should work.
     *
     * @param bytes how many were compared
     * @param mismatches how many of them (guards included) were wrong
     * @param refused how many accesses of the device were refused meanwhile
     * @param refusal which was the first, and why; empty if none was
     */
    record Transfer(String container, String device, long from, long to, long bytes, long mismatches, long refused,
        String refusal,
            String remark) {
        boolean ok() {
            return mismatches == 0 && refused == 0;
        }

        /** {@return what came of it, in words} */
        String outcome() {
            return refused == 0 ? String.format("%d bytes, %d wrong", bytes, mismatches)
                : String.format("%d bytes, %d accesses refused: %s; %d wrong for it", bytes, refused, refusal,
                    mismatches);
        }
    }

    /**
     * An interrupt that should arrive: at its own eventfd once, and at no other.
     *
     * @param message whether it is an MSI and not a pin
     * @param bank -1 for a pin, and for an MSI that has no vector
     */
    record Interrupt(String container, String device, boolean message, int bank, int vector, long address, int data,
        long delivered,
            long stray, long micros) {
        /** {@return which way it takes} */
        String through() {
            return !message ? "pin" : bank < 0 ? "MSI without a known vector" : "bank " + bank;
        }

        boolean ok() {
            return delivered == 1 && stray == 0;
        }
    }

    /**
     * An access that should be refused. {@code fault} is what the port reported, {@code violation} what the IOMMU
     * recorded, null where there is none: an interrupt that remapping refuses has passed the port.
     */
    record Attempt(String container, String device, int requester, boolean write, long iova, int bytes, String expected,
        String remark,
            Fault fault, Violation violation, boolean untouched) {
        boolean refused() {
            return fault != null || violation != null;
        }

        String outcome() {
            return fault != null ? Refusal.name(fault.refusal())
                : violation != null ? violation.reason() : "NOT REFUSED";
        }

        /**
         * {@return why, as a constant of {@link Refusal}: the port's answer, or what comes nearest to what the IOMMU
         * recorded; empty if it passed}
         */
        String reason() {
            return fault != null ? Refusal.name(fault.refusal())
                : violation != null ? Refusal.name(violation.refusal()) : "";
        }

        /** {@return why, in the IOMMU's own words; empty if it recorded nothing} */
        String recorded() {
            return violation == null ? "" : violation.reason();
        }

        String registers() {
            return violation == null ? "" : violation.registers();
        }

        boolean ok() {
            return refused() && outcome().startsWith(expected) && untouched;
        }
    }

    /** An operation of the control path that should be refused with an errno. */
    record Rejection(String expected, String found, String remark) {
        boolean ok() {
            return found.startsWith(expected + ":");
        }
    }

    private final List<Transfer> transfers = new ArrayList<>();
    private final List<Interrupt> interrupts = new ArrayList<>();
    private final List<Attempt> attempts = new ArrayList<>();
    private final List<Rejection> rejections = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private String title = "";
    private boolean unfit;

    synchronized void title(String text) {
        title = text;
    }

    synchronized String title() {
        return title;
    }

    /** The machine does not have what the scenario needs. */
    synchronized void unfit() {
        unfit = true;
    }

    /** {@return whether it does, as far as it said what it needs} */
    synchronized boolean begun() {
        return !unfit;
    }

    synchronized void add(Transfer transfer) {
        transfers.add(transfer);
        if (!transfer.ok()) {
            failures.add(
                String.format("%s: in the transfer 0x%x -> 0x%x: %s", transfer.device(), transfer.from(), transfer.to(),
                transfer.outcome()));
        }
    }

    synchronized void add(Interrupt interrupt) {
        interrupts.add(interrupt);
        if (!interrupt.ok()) {
            failures.add(String.format("%s: one interrupt raised (%s), %d delivered to its eventfd, %d to others",
                interrupt.device(), interrupt.through(), interrupt.delivered(), interrupt.stray()));
        }
    }

    synchronized void add(Attempt attempt) {
        attempts.add(attempt);
        if (!attempt.ok()) {
            failures.add(String.format("%s: %s at iova 0x%x: expected %s, found %s%s", attempt.device(),
                attempt.write() ? "write" : "read", attempt.iova(), attempt.expected(), attempt.outcome(),
                attempt.untouched() ? "" : "; memory of another container changed"));
        }
    }

    synchronized void add(Rejection rejection) {
        rejections.add(rejection);
        if (!rejection.ok()) {
            failures.add(String.format("%s: expected %s, found %s", rejection.remark(), rejection.expected(),
                rejection.found()));
        }
    }

    synchronized List<Rejection> rejections() {
        return List.copyOf(rejections);
    }

    synchronized void fail(String failure) {
        failures.add(failure);
    }

    synchronized void note(String note) {
        notes.add(note);
    }

    synchronized List<Transfer> transfers() {
        return List.copyOf(transfers);
    }

    synchronized List<Interrupt> interrupts() {
        return List.copyOf(interrupts);
    }

    synchronized List<Attempt> attempts() {
        return List.copyOf(attempts);
    }

    synchronized List<String> failures() {
        return List.copyOf(failures);
    }

    synchronized List<String> notes() {
        return List.copyOf(notes);
    }

    synchronized boolean ok() {
        return failures.isEmpty();
    }

    /** {@return MSIs delivered by bank} */
    synchronized Map<Integer, Long> deliveredPerBank() {
        Map<Integer, Long> banks = new TreeMap<>();
        interrupts.stream().filter(interrupt -> interrupt.bank() >= 0)
            .forEach(interrupt -> banks.merge(interrupt.bank(), interrupt.delivered(), Long::sum));
        return banks;
    }
}
