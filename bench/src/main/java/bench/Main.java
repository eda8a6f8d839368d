// SPDX-License-Identifier: Apache-2.0
package bench;

import java.io.IOException;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Locale;
import machine.api.ErrnoException;
import machine.api.OutputFile;
import org.openjdk.jmh.runner.RunnerException;

/** The command {@code bench}: measures, prints one table, never judges. */
public final class Main {
    private static final String USAGE = "usage: gantry bench [--quick] [--json FILE] [--svg FILE]; - is standard "
        + "output";

    private Main() {
    }

    /**
     * Exits with 0 if everything was measured, 1 if something could not be, 2 for a wrong command line.
     *
     * @param words {@code --quick}, {@code --json FILE}, {@code --svg FILE}, {@code --help} or {@code -h}
     */
    public static void main(String[] words) {
        boolean quick = false;
        String json = null;
        String svg = null;
        for (int i = 0; i < words.length; i++) {
            if (words[i].equals("--quick")) {
                quick = true;
            } else if (words[i].equals("--help") || words[i].equals("-h")) {
                System.out.println(USAGE);
                return;
            } else if (words[i].equals("--json") && i + 1 < words.length) {
                json = words[++i];
            } else if (words[i].equals("--svg") && i + 1 < words.length) {
                svg = words[++i];
            } else {
                misused(words[i] + " is not known, or lacks its file");
                return;
            }
        }
        if (json != null && json.equals(svg)) {
            misused("--json and --svg name the same file, " + json);
            return;
        }
        int status = 2;
        try (OutputFile jsonFile = json == null ? null : OutputFile.open(json);
             OutputFile svgFile = svg == null ? null : OutputFile.open(svg)) {
            status = 1;
            run(quick, jsonFile, svgFile);
        } catch (RunnerException | IOException | InterruptedException e) {
            System.err.println("gantry bench: " + e);
            for (Throwable cause : e.getSuppressed()) {
                cause.printStackTrace();
            }
            System.exit(1);
        } catch (ErrnoException e) {
            System.err.println("gantry bench: " + e.getMessage());
            System.exit(status);
        }
    }

    private static void misused(String why) {
        System.err.println("gantry bench: " + why);
        System.err.println(USAGE);
        System.exit(2);
    }

    private static void run(boolean quick, OutputFile json, OutputFile svg)
        throws RunnerException, IOException, InterruptedException {
        Runs.Plan plan = quick ? Runs.Plan.QUICK : Runs.Plan.FULL;
        double load = ManagementFactory.getOperatingSystemMXBean().getSystemLoadAverage();
        long begin = System.nanoTime();
        // JMH may print to standard output; that is for the table, or for the file that is to go there.
        PrintStream out = json != null && json.isStandard() || svg != null && svg.isStandard() ? System.err
            : System.out;
        System.setOut(System.err);
        Runs runs = new Runs(plan,
            trial -> System.err.printf(Locale.ROOT, "%4d s  %s %s%n", (System.nanoTime() - begin) / 1_000_000_000,
            trial.method(), trial.parameters().isEmpty() ? "" : trial.parameters()));
        Suite suite = new Suite(runs, quick);
        List<Row> rows = suite.measure();
        for (int pass = 2; pass <= plan.passes(); pass++) {
            runs.nextPass();
            rows = suite.measure();
        }
        String jdk = System.getProperty("java.vm.name") + " " + Runtime.version();
        String machine = String.format(Locale.ROOT, "%s, %d cores, load average before %.1f",
            System.getProperty("os.arch"), Runtime.getRuntime().availableProcessors(), load);
        out.print(Report.table(rows));
        out.printf(Locale.ROOT, "%njdk      %s, %s%nmachine  %s%nplan     %s, %d s in total%n", jdk,
            String.join(" ", Runs.jvmArguments()), machine, plan.text(), (System.nanoTime() - begin) / 1_000_000_000);
        if (json != null) {
            json.write(Report.json(rows, "jdk", jdk, "machine", machine, "plan", plan.text()));
        }
        if (svg != null) {
            svg.write(Report.svg(suite.translateCurves(), suite.mapCurves()));
        }
        if (out.checkError()) {
            throw new IOException("the table cannot be written to standard output");
        }
    }
}
