// SPDX-License-Identifier: Apache-2.0
package bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A start, from the process to the report of a scenario that does nothing, which comes when every component is active;
 * and that of a {@link BareFramework}, to its last component, with the same flags. Both in turn, as processes of their
 * own.
 */
final class Startup {
    /** The project's directory and the JVM flags of a start, given by {@code ./gantry bench}. */
    private static final String ROOT = "gantry.root";
    private static final String FLAGS = "gantry.start";
    /** The end of a report. */
    private static final String REPORT = "OK: ";
    /** A start that takes longer hangs. */
    private static final long PATIENCE_SECONDS = 60;

    private final int starts;

    /** @param starts of each */
    Startup(int starts) {
        this.starts = starts;
    }

    /** {@return whether it is known what to start} */
    static boolean possible() {
        return System.getProperty(ROOT) != null && System.getProperty(FLAGS) != null;
    }

    /** The two figures: ours, and the bare framework's, nanoseconds, lower quartiles. */
    record Starts(double product, double bare, int components) {
        /** {@return the better of each} */
        Starts better(Starts other) {
            return new Starts(Math.min(product, other.product), Math.min(bare, other.bare), components);
        }
    }

    /** @throws IOException if one does not start */
    Starts measure() throws IOException, InterruptedException {
        Path root = Path.of(System.getProperty(ROOT));
        Path directory = Files.createTempDirectory("gantry-bench-");
        Path scenario = directory.resolve("nothing.gosh");
        Path jar = directory.resolve("bare.jar");
        try {
            Files.writeString(scenario, "# Nothing: the report comes as soon as every component is active.\n");
            int components = BareFramework.write(root.resolve("launcher/target/p4080.jar"), jar);
            List<String> trivial = new ArrayList<>(
                List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
            trivial.addAll(Arrays.asList(System.getProperty(FLAGS).split(" ")));
            trivial.addAll(List.of("-D" + Trivial.COUNT + "=" + components, "-jar", jar.toString()));
            List<String> product = List.of(root.resolve("gantry").toString(), "run", scenario.toString());
            double[] ours = new double[starts];
            double[] theirs = new double[starts];
            // The first start of each reads files that later ones find in memory.
            nanos(product);
            nanos(trivial);
            for (int i = 0; i < starts; i++) {
                ours[i] = nanos(product);
                theirs[i] = nanos(trivial);
            }
            Arrays.sort(ours);
            Arrays.sort(theirs);
            return new Starts(ours[starts / 4], theirs[starts / 4], components);
        } finally {
            Files.deleteIfExists(scenario);
            Files.deleteIfExists(jar);
            Files.deleteIfExists(directory);
        }
    }

    private static double nanos(List<String> command) throws IOException, InterruptedException {
        long begin = System.nanoTime();
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try (BufferedReader out = new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            Thread impatient = new Thread(() -> {
                try {
                    if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                        process.destroyForcibly();
                    }
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }, "impatient");
            impatient.setDaemon(true);
            impatient.start();
            String line = out.readLine();
            while (line != null && !line.equals(Trivial.READY) && !line.startsWith(REPORT)) {
                line = out.readLine();
            }
            long end = System.nanoTime();
            if (line == null) {
                throw new IOException(command + " ended or hung before it was ready");
            }
            return end - begin;
        } finally {
            process.destroy();
            process.waitFor();
        }
    }
}
