// SPDX-License-Identifier: Apache-2.0
package bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.openjdk.jmh.runner.RunnerException;

/** The rows of the table: each with its yardstick and its allowed ratio. */
final class Suite {
    private static final int MILLION = 1_000_000;
    private static final int[] ALL = {1, 64, 1_024, 65_536, MILLION};
    private static final int[] FEW = {1, 1_024, 65_536, MILLION};
    private static final double NONE = Double.NaN;

    private static final Trial READ = Trial.of("Floor.dependentRead");

    private final Runs runs;
    private final boolean quick;
    private final List<Row> rows = new ArrayList<>();
    /** Of the passes so far. */
    private Startup.Starts starts;

    Suite(Runs runs, boolean quick) {
        this.runs = runs;
        this.quick = quick;
    }

    /** {@return the rows, measured} */
    List<Row> measure() throws RunnerException, IOException, InterruptedException {
        rows.clear();
        // First, because it is the one that can fail, and soon.
        List<Row> starting = starts();
        shown("yardstick: one dependent array read", READ);
        translate();
        dma();
        msi();
        map();
        drain();
        swap();
        rows.addAll(starting);
        return List.copyOf(rows);
    }

    /** {@return the curves of translation} */
    List<Report.Series> translateCurves() throws RunnerException {
        int[] sizes = quick ? FEW : ALL;
        List<Report.Series> all = new ArrayList<>();
        all.add(curve("VT-d, random 4 KiB pages", "Translate.vtdRandom", sizes));
        all.add(curve("random read, same footprint", "Floor.randomRead", sizes));
        all.add(curve("ConcurrentSkipListMap.floorEntry", "Floor.skipList", skipSizes()));
        return all;
    }

    /** {@return the curves of map and unmap; none present stands at 1} */
    List<Report.Series> mapCurves() throws RunnerException {
        List<Report.Series> all = new ArrayList<>();
        for (String who : List.of("driver", "container")) {
            int[] sizes = mapSizes(who);
            double[] nanos = new double[sizes.length];
            for (int i = 0; i < sizes.length; i++) {
                nanos[i] = runs.figure(mapTrial(who, sizes[i])).nanos();
            }
            all.add(new Report.Series("VT-d " + who, doubles(sizes), nanos));
        }
        return all;
    }

    private void translate() throws RunnerException {
        for (int windows : new int[] {8, 256}) {
            row("PAMU translate, hot, " + windows + " windows",
                Trial.of("Translate.pamuHot", "windows", windows), "dependent read", READ, 3);
        }
        for (int size : quick ? new int[] {1} : ALL) {
            row(vtd("hot", size), Trial.of("Translate.vtdHot", "mappings", size), "dependent read", READ, 4);
        }
        for (int size : quick ? new int[] {65_536} : ALL) {
            row(vtd("sequential", size), Trial.of("Translate.vtdSequential", "mappings", size), "dependent read",
                READ, NONE);
        }
        for (int size : quick ? FEW : ALL) {
            row(vtd("random", size), random(size), "random read", floor(size),
                size == 65_536 ? 3 : size == MILLION ? 4 : NONE);
        }
        for (int size : skipSizes()) {
            row(vtd("random", size), random(size), "skip list",
                Trial.of("Floor.skipList", "mappings", size), size == 65_536 ? 0.2 : NONE);
        }
        row("VT-d translate, random, 1,024 of 2 MiB", Trial.of("Translate.vtdRandom", "mappings", 1_024, "shift", 21),
            "random read", floor(1_024), NONE);
        for (int size : new int[] {65_536, MILLION}) {
            shown("yardstick: random read, footprint of " + Report.number(size), floor(size));
        }
    }

    private void dma() throws RunnerException {
        row("DMA write of 4 B", Trial.of("Dma.value", "bytes", 4), "release store", Trial.of("Floor.store"), NONE);
        inTurns("DMA write of 4 KiB", Trial.of("Dma.block", "bytes", 4_096), "bare copy", 1.2);
        inTurns("of which a core's store of 4 KiB", Trial.of("Dma.store", "bytes", 4_096), "bare copy", NONE);
        inTurns("DMA write of 1 MiB, 257 pages", Trial.slow("Dma.block", "bytes", 1 << 20), "bare copy", NONE);
        inTurns("DMA write of 2 MiB, 513 pages", Trial.slow("Dma.block", "bytes", 2 << 20), "bare copy", NONE);
    }

    private void msi() throws RunnerException {
        row("MSI, write to eventfd counter", Trial.deep("Msi.toCounter"), "atomic add", Trial.of("Floor.atomicAdd"),
            10);
        row("of which one of four register accesses", Trial.deep("Msi.register"), "atomic add",
            Trial.of("Floor.atomicAdd"), NONE);
        row("of which the core's pin and its handler", Trial.deep("Msi.pin"), "atomic add", Trial.of("Floor.atomicAdd"),
            NONE);
        row("MSI, to a waiting thread and back", Trial.deep("Msi.toThread"), "hand-over", Trial.deep("Msi.handOver"),
            NONE);
        shown("yardstick: atomic add", Trial.of("Floor.atomicAdd"));
        shown("yardstick: hand-over to a parked thread and back", Trial.deep("Msi.handOver"));
    }

    private void map() throws RunnerException {
        for (String who : List.of("driver", "container")) {
            Trial none = mapTrial(who, 0);
            shown("map + unmap 4 KiB, " + who + ", none present", none);
            for (int size : mapSizes(who)) {
                if (size > 0) {
                    row("map + unmap 4 KiB, " + who + ", " + Report.number(size) + " present", mapTrial(who, size),
                        "none present", none, size == MILLION ? 1.5 : NONE);
                }
                if (size == MILLION) {
                    row("map + unmap 4 KiB, " + who + ", " + Report.number(size) + " present, anywhere",
                        Trial.deep("MapUnmap." + who, "mappings", size, "places", 0), "none present", none,
                        NONE);
                }
            }
        }
    }

    private void swap() throws RunnerException {
        for (int size : new int[] {0, 1_000, 100_000}) {
            row("swap of the IOMMU's provider, " + Report.number(size) + " mapped",
                Trial.deep("Gap.swap", "mappings", size), "mapping them", Trial.deep("Gap.bare", "mappings", size),
                NONE);
        }
        for (int size : new int[] {0, 1_000, 100_000}) {
            shown("yardstick: open, attach, map " + Report.number(size) + ", close",
                Trial.deep("Gap.bare", "mappings", size));
        }
    }

    private List<Row> starts() throws IOException, InterruptedException {
        if (!Startup.possible()) {
            return List.of();
        }
        Startup.Starts again = new Startup(quick ? 7 : 11).measure();
        starts = starts == null ? again : starts.better(again);
        return List.of(
            new Row("start of ./gantry run to all components active", starts.product(), "bare framework",
                starts.product() / starts.bare(), 1.5, NONE),
            new Row("yardstick: bare framework, SCR, " + starts.components() + " trivial components", starts.bare(),
                null, NONE, NONE, NONE));
    }

    private void drain() throws RunnerException {
        Trial idle = Trial.deep("Drain.sync", "devices", 0);
        shown("drain, no device thread", idle);
        for (int devices = 1; devices <= 2; devices++) {
            row("drain, " + devices + " device thread" + (devices == 1 ? "" : "s"),
                Trial.deep("Drain.sync", "devices", devices), "no device thread", idle, NONE);
        }
    }

    private void row(String name, Trial trial, String yardstick, Trial other, double limit) throws RunnerException {
        Figure floor = runs.figure(other);
        Figure figure = runs.figure(trial);
        rows.add(new Row(name, figure.nanos(), yardstick, figure.nanos() / floor.nanos(), limit, figure.bytesPerOp()));
    }

    private void inTurns(String name, Trial trial, String yardstick, double limit) throws RunnerException {
        Figure figure = runs.figure(trial);
        rows.add(new Row(name, figure.nanos(), yardstick, figure.ratio(), limit, figure.bytesPerOp()));
    }

    private void shown(String name, Trial trial) throws RunnerException {
        Figure figure = runs.figure(trial);
        rows.add(new Row(name, figure.nanos(), null, NONE, NONE, figure.bytesPerOp()));
    }

    private Report.Series curve(String name, String method, int[] sizes) throws RunnerException {
        double[] nanos = new double[sizes.length];
        for (int i = 0; i < sizes.length; i++) {
            nanos[i] = runs.figure(Trial.of(method, "mappings", sizes[i])).nanos();
        }
        return new Report.Series(name, doubles(sizes), nanos);
    }

    private int[] skipSizes() {
        return quick ? new int[] {1_024, 65_536, MILLION} : ALL;
    }

    private int[] mapSizes(String who) {
        return quick && who.equals("container") ? new int[] {0, MILLION} : new int[] {0, 65_536, MILLION};
    }

    private static Trial mapTrial(String who, int size) {
        return Trial.deep("MapUnmap." + who, "mappings", size);
    }

    private static Trial random(int size) {
        return Trial.of("Translate.vtdRandom", "mappings", size);
    }

    private static Trial floor(int size) {
        return Trial.of("Floor.randomRead", "mappings", size);
    }

    private static String vtd(String pattern, int size) {
        return "VT-d translate, " + pattern + ", " + Report.number(size);
    }

    private static double[] doubles(int[] values) {
        double[] doubles = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            doubles[i] = values[i];
        }
        return doubles;
    }
}
