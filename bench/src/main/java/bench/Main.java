// SPDX-License-Identifier: Apache-2.0
package bench;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.openjdk.jmh.runner.RunnerException;

/** The command {@code bench}: measures, prints one table, never judges. */
public final class Main {
    private static final String USAGE = "usage: gantry bench [--quick] [--json FILE] [--svg FILE]";

    private Main() {
    }

    /**
     * Exits with 0 if everything was measured, 1 if something could not be, 2 for a wrong command line.
     *
     * @param words {@code --quick}, {@code --json FILE}, {@code --svg FILE}, {@code --help} or {@code -h}
     */
    public static void main(String[] words) {
        boolean quick = false;
        Path json = null;
        Path svg = null;
        for (int i = 0; i < words.length; i++) {
            if (words[i].equals("--quick")) {
                quick = true;
            } else if (words[i].equals("--help") || words[i].equals("-h")) {
                System.out.println(USAGE);
                return;
            } else if (words[i].equals("--json") && i + 1 < words.length) {
                json = Path.of(words[++i]);
            } else if (words[i].equals("--svg") && i + 1 < words.length) {
                svg = Path.of(words[++i]);
            } else {
                System.err.println("gantry bench: " + words[i] + " is not known, or lacks its file");
                System.err.println(USAGE);
                System.exit(2);
            }
        }
        try {
            run(quick, json, svg);
        } catch (RunnerException | IOException | InterruptedException e) {
            System.err.println("gantry bench: " + e);
            for (Throwable cause : e.getSuppressed()) {
                cause.printStackTrace();
            }
            System.exit(1);
        }
    }

    private static void run(boolean quick, Path json, Path svg) throws RunnerException, IOException, InterruptedException {
        Runs.Plan plan = quick ? Runs.Plan.QUICK : Runs.Plan.FULL;
        double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
        long begin = System.nanoTime();
        // JMH may print to standard output; that is for the table.
        PrintStream out = System.out;
        System.setOut(System.err);
        Runs runs = new Runs(plan, trial -> System.err.printf(Locale.ROOT, "%4d s  %s %s%n", (System.nanoTime() - begin) / 1_000_000_000,
            trial.method(), trial.parameters().isEmpty() ? "" : trial.parameters()));
        Suite suite = new Suite(runs, quick);
        List<Row> rows = suite.measure();
        for (int pass = 2; pass <= plan.passes(); pass++) {
            runs.nextPass();
            rows = suite.measure();
        }
        String jdk = System.getProperty("java.vm.name") + " " + Runtime.version();
        String machine = String.format(Locale.ROOT, "%s, %d cores, load average before %.1f", System.getProperty("os.arch"),
            Runtime.getRuntime().availableProcessors(), load);
        out.print(Report.table(rows));
        out.printf(Locale.ROOT, "%njdk      %s, %s%nmachine  %s%nplan     %s, %d s in total%n", jdk,
            String.join(" ", Runs.jvmArguments()), machine, plan.text(), (System.nanoTime() - begin) / 1_000_000_000);
        if (json != null) {
            Files.writeString(json, Report.json(rows, "jdk", jdk, "machine", machine, "plan", plan.text()));
        }
        if (svg != null) {
            Files.writeString(svg, Report.svg(suite.translateCurves(), suite.mapCurves()));
        }
    }
}
