// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.BenchmarkResult;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Runs trials, each once in a pass however many rows want it, each time in a JVM of its own. Of several passes the
 * better figure counts: a host that is slow for a minute is hardly slow for the same trial in the next pass.
 */
final class Runs {
    /** JMH's own allocation per iteration varies by about this many bytes. */
    private static final double SHAKE = 4096;

    private final Plan plan;
    private final Consumer<Trial> progress;
    private final Map<Trial, Figure> figures = new LinkedHashMap<>();
    private final Set<Trial> done = new HashSet<>();
    /** JMH's own allocation per iteration in bytes, measured with a trial that allocates nothing. */
    private double own = Double.NaN;

    /**
     * How long to measure.
     *
     * @param passes over all trials
     * @param warmups warm-up iterations
     * @param deepWarmups the same of a deep trial
     * @param warmupMillis length of each
     * @param iterations measured iterations
     * @param millis length of each
     * @param slowIterations measured iterations of a slow trial
     * @param slowMillis length of each
     */
    record Plan(int passes, int warmups, int deepWarmups, int warmupMillis, int iterations, int millis,
        int slowIterations, int slowMillis) {
        static final Plan QUICK = new Plan(1, 6, 20, 125, 30, 10, 16, 30);
        static final Plan FULL = new Plan(2, 10, 30, 150, 50, 20, 20, 60);

        String text() {
            return String.format(
                "%d pass(es), %d to %d warm-ups of %d ms, %d iterations of %d ms (slow operations %d of %d ms), "
                    + "lower quartile",
                passes, warmups, deepWarmups, warmupMillis, iterations, millis, slowIterations, slowMillis);
        }
    }

    Runs(Plan plan, Consumer<Trial> progress) {
        this.plan = plan;
        this.progress = progress;
    }

    /** {@return what it gives}
     * @throws RunnerException if JMH or the benchmark fails */
    Figure figure(Trial trial) throws RunnerException {
        if (done.add(trial)) {
            progress.accept(trial);
            figures.merge(trial, run(trial), Figure::better);
        }
        return figures.get(trial);
    }

    /** Every trial is run again when it is asked for. */
    void nextPass() {
        done.clear();
    }

    private Figure run(Trial trial) throws RunnerException {
        boolean slow = trial.pace() != Trial.Pace.FAST;
        int millis = slow ? plan.slowMillis() : plan.millis();
        ChainedOptionsBuilder options = new OptionsBuilder()
            .include("^bench\\." + trial.method().replace(".", "\\.") + "$")
            .forks(1)
            .warmupIterations(trial.pace() == Trial.Pace.DEEP ? plan.deepWarmups() : plan.warmups())
            .warmupTime(TimeValue.milliseconds(plan.warmupMillis()))
            .measurementIterations(slow ? plan.slowIterations() : plan.iterations())
            .measurementTime(TimeValue.milliseconds(millis))
            .addProfiler(GCProfiler.class)
            .shouldFailOnError(true)
            .verbosity(VerboseMode.SILENT)
            .jvmArgs(jvmArguments());
        trial.parameters().forEach(options::param);
        Collection<RunResult> results = new Runner(options.build()).run();
        if (results.size() != 1) {
            throw new RunnerException(trial + " is " + results.size() + " benchmarks");
        }
        RunResult result = results.iterator().next();
        List<Double> nanos = new ArrayList<>();
        List<Double> ratios = new ArrayList<>();
        for (BenchmarkResult fork : result.getBenchmarkResults()) {
            for (IterationResult iteration : fork.getIterationResults()) {
                var counted = iteration.getSecondaryResults();
                if (counted.containsKey("road")) {
                    nanos.add(counted.get("road").getScore() / counted.get("operations").getScore());
                    ratios.add(counted.get("road").getScore() / counted.get("yardstick").getScore());
                } else {
                    nanos.add(iteration.getPrimaryResult().getScore());
                }
            }
        }
        Collections.sort(nanos);
        Collections.sort(ratios);
        Result<?> allocated = result.getSecondaryResults().get("gc.alloc.rate.norm");
        double bytes = allocated == null ? Double.NaN : allocated.getScore();
        double operations = millis * 1e6 / result.getPrimaryResult().getScore();
        if (Double.isNaN(own)) {
            own = bytes * operations;
        }
        double theirs = bytes * operations - own;
        return new Figure(nanos.get(nanos.size() / 4), ratios.isEmpty() ? Double.NaN : ratios.get(ratios.size() / 2),
            theirs < SHAKE ? 0 : theirs / operations);
    }

    /**
     * The JIT in full, the collector of {@code gantry run}. Code waits for its compilation, so that a warm-up is as
     * warm on a busy machine as on an idle one.
     */
    static String[] jvmArguments() {
        List<String> arguments = new ArrayList<>(List.of("-XX:+UseSerialGC", "-Xmx2g", "-XX:-BackgroundCompilation"));
        if (Runtime.version().feature() >= 23) {
            arguments.add("--sun-misc-unsafe-memory-access=allow");
        }
        return arguments.toArray(String[]::new);
    }
}
