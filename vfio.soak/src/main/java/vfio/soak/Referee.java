// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;

/** Counts events and keeps the failures. Any thread. */
final class Referee {
    /** For everything that takes a moment at most: what takes so long is hung. */
    static final int PATIENCE_SECONDS = 30;
    private static final int KEPT = 50;
    private static final int HISTORY = 24;

    final LongAdder bytesVerified = new LongAdder();
    final LongAdder mismatches = new LongAdder();
    final LongAdder strayWrites = new LongAdder();
    final LongAdder raised = new LongAdder();
    final LongAdder delivered = new LongAdder();
    final LongAdder lost = new LongAdder();
    final LongAdder duplicated = new LongAdder();
    final LongAdder pins = new LongAdder();
    final LongAdder maps = new LongAdder();
    final LongAdder againLater = new LongAdder();
    final LongAdder expectedFaults = new LongAdder();
    final LongAdder unexpectedFaults = new LongAdder();

    final Reports reports = new Reports();

    private final long begin = System.nanoTime();

    // Guarded by this.
    private final Map<String, Integer> byKind = new TreeMap<>();
    private final List<String> failures = new ArrayList<>();
    private final Deque<String> history = new ArrayDeque<>();
    private int failed;

    /** A disturbance of that kind begins. */
    synchronized void swap(String kind, String what) {
        byKind.merge(kind, 1, Integer::sum);
        if (history.size() == HISTORY) {
            history.remove();
        }
        history.add(String.format("%.3f s: %s %s", seconds(), kind, what));
    }

    /** The disturbance that this thread began last has come to its end. */
    synchronized void settled() {
        if (history.size() == HISTORY) {
            history.remove();
        }
        history.add(String.format("%.3f s: %s done", seconds(), Thread.currentThread().getName()));
    }

    /** A promise was broken. The first failure comes with what was being swapped just then. */
    synchronized void fail(String format, Object... arguments) {
        failed++;
        if (failures.size() < KEPT) {
            failures.add(String.format("%.3f s: ", seconds()) + String.format(format, arguments)
                + (failed == 1 ? "\n    before: " + String.join("\n            ", history) : ""));
        }
    }

    /** The same, of something thrown where nothing may be. */
    void fail(String where, Throwable thrown) {
        StringBuilder text = new StringBuilder(where + ": " + thrown);
        for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
            if (cause != thrown) {
                text.append("\n    caused by ").append(cause);
            }
            for (StackTraceElement element : cause.getStackTrace()) {
                text.append("\n      at ").append(element);
                if (element.getClassName().startsWith("vfio.soak.")) {
                    break;
                }
            }
        }
        fail("%s", text);
    }

    synchronized int failed() {
        return failed;
    }

    synchronized List<String> failures() {
        return List.copyOf(failures);
    }

    synchronized Map<String, Integer> byKind() {
        return new TreeMap<>(byKind);
    }

    synchronized int swaps() {
        return byKind.values().stream().mapToInt(Integer::intValue).sum();
    }

    double seconds() {
        return (System.nanoTime() - begin) / 1e9;
    }
}
