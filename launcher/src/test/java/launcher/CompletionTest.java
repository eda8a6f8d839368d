// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.gogo.runtime.CommandProcessorImpl;
import org.apache.felix.gogo.runtime.threadio.ThreadIOImpl;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Parameter;
import org.jline.reader.Candidate;
import org.jline.reader.ParsedLine;
import org.jline.reader.impl.LineReaderImpl;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.DumbTerminal;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What TAB offers, with commands of this test. */
class CompletionTest {
    private static final List<String> COMPLETES = List.of("open --iommu=(__types) --json=* - (__devices)...",
        "trace (__containers) - R|W", "swap (__containers)|(__bundles) (__with)",
        "bad (__throws) (__fails) (__missing) (irq:__number)", "hang (__hangs)", "ring (irq:__banks)");

    /** Public, or Gogo would not find its methods. */
    public static final class Fake {
        private final CountDownLatch free = new CountDownLatch(1);
        private final CountDownLatch entered = new CountDownLatch(1);
        private final AtomicInteger hanging = new AtomicInteger();

        public void open(CommandSession session,
                @Descriptor("IOMMU type") @Parameter(names = {"-i", "--iommu"}, absentValue = "") String iommu,
                @Parameter(names = {"-j", "--json"}, absentValue = "") String json,
                @Parameter(names = {"-q", "--quick"}, presentValue = "true", absentValue = "false") boolean quick,
            String name,
                String... devices) {
        }

        public void trace(String container, String iova, String access) {
        }

        public List<String> __types(String... before) {
            return List.of("pamu", "type1");
        }

        public String[] __devices(String... before) {
            return new String[] {"0000:01:00.0", String.join("+", before)};
        }

        public List<String> __containers(String... before) {
            return List.of("guest", "host");
        }

        public List<String> __bundles(String... before) {
            return List.of("iommu.pamu");
        }

        public List<String> __with(String what) {
            return what.equals("guest") ? List.of("pamu") : List.of("*.jar");
        }

        public List<String> __throws(String... before) {
            throw new ErrnoException(Errno.ENOENT, "no such thing");
        }

        public List<String> __fails(String... before) {
            throw new NoClassDefFoundError("of a bundle that is swapped");
        }

        public int __number(String... before) {
            return 1;
        }

        public List<String> __banks(String... before) {
            return List.of("0", "1");
        }

        public List<String> __hangs(String... before) throws InterruptedException {
            hanging.incrementAndGet();
            entered.countDown();
            free.await();
            return List.of("late");
        }
    }

    /** A line whose last word is being typed. */
    private record Line(List<String> words) implements ParsedLine {
        @Override
        public String word() {
            return words.get(words.size() - 1);
        }

        @Override
        public int wordCursor() {
            return word().length();
        }

        @Override
        public int wordIndex() {
            return words.size() - 1;
        }

        @Override
        public String line() {
            return String.join(" ", words);
        }

        @Override
        public int cursor() {
            return line().length();
        }
    }

    private final Fake fake = new Fake();
    private final Commands commands = new Commands(() -> List.of(new Commands.Provider("vfio",
        List.of("open", "trace", "swap", "bad", "hang", "ring", "__types"), List.of(), List.of(), COMPLETES,
        () -> Fake.class)));
    private ThreadIOImpl io;
    private CommandProcessorImpl processor;
    private CommandSession session;
    private Terminal terminal;
    private LineReaderImpl reader;
    private Completion completion;

    @BeforeEach
    void open() throws Exception {
        io = new ThreadIOImpl();
        io.start();
        processor = new CommandProcessorImpl(io);
        List.of("__types", "__devices", "__containers", "__bundles", "__with", "__throws", "__fails", "__hangs")
            .forEach(name -> processor.addCommand("vfio", fake, name));
        List.of("__number", "__banks").forEach(name -> processor.addCommand("irq", fake, name));
        terminal = new DumbTerminal(new ByteArrayInputStream(new byte[0]), new ByteArrayOutputStream());
        session = processor.createSession(terminal.input(), terminal.output(), terminal.output());
        reader = new LineReaderImpl(terminal);
        completion = patient(Long.MAX_VALUE);
    }

    @AfterEach
    void close() throws Exception {
        fake.free.countDown();
        session.close();
        terminal.close();
        processor.stop();
        io.stop();
    }

    private Completion patient(long millis) {
        return new Completion(session, commands, (its, line, candidates) -> candidates.add(new Candidate("another")),
            millis);
    }

    /** {@return what is offered for the last of these words} */
    private List<String> offered(String... words) {
        List<Candidate> candidates = new ArrayList<>();
        completion.complete(reader, new Line(List.of(words)), candidates);
        return candidates.stream().map(Candidate::value).toList();
    }

    @DisplayName("Each argument is offered what its provider says it can be; the last may repeat, and else there is "
        + "nothing behind it")
    @ParameterizedTest
    @CsvSource({"'trace ','guest host'", "'trace guest ',''", "'trace guest 0 ','R W'", "'trace guest 0 R ',''",
        "'vfio:trace ','guest host'", "'open guest ','0000:01:00.0 guest'", "'open guest a ','0000:01:00.0 guest+a'",
        "'open guest a b ','0000:01:00.0 guest+a+b'", "'open ',''", "'swap ','guest host iommu.pamu'",
        "'swap guest ','pamu'", "'x = trace ','guest host'", "'ring ','0 1'", "'other ',another", "'other a ',another"})
    void arguments(String line, String expected) {
        assertEquals(expected, String.join(" ", offered(line.split(" ", -1))));
    }

    @DisplayName("Options by their long names, none twice; behind one its values; where an option stands does not "
        + "shift the arguments")
    @ParameterizedTest
    @CsvSource({"'open -','--iommu --json --quick'", "'open --','--iommu --json --quick'",
        "'open -i pamu --quick --','--json'", "'open --iommu ','pamu type1'", "'open -i ','pamu type1'",
        "'open --iommu pamu guest ','0000:01:00.0 guest'", "'open --quick guest ','0000:01:00.0 guest'",
        "'trace --',''", "'other --',another"})
    void options(String line, String expected) {
        assertEquals(expected, String.join(" ", offered(line.split(" ", -1))));
    }

    @DisplayName("Files of the name that is asked for, and directories; all of them for a star alone")
    @Test
    void files(@TempDir Path directory) throws Exception {
        Files.createFile(directory.resolve("a.jar"));
        Files.createFile(directory.resolve("a.txt"));
        Files.createDirectory(directory.resolve("folder"));
        assertEquals(Set.of("a.jar", "folder"), names(offered("swap", "iommu.pamu", directory + "/")));
        assertEquals(Set.of("a.jar", "a.txt", "folder"), names(offered("open", "--json", directory + "/")));
    }

    private static Set<String> names(List<String> files) {
        Set<String> names = new TreeSet<>();
        files.forEach(file -> names.add(Path.of(file).getFileName().toString()));
        return names;
    }

    @DisplayName("On an empty line, and behind x =, the names of ours; with a letter, those of all")
    @Test
    void names() {
        assertEquals(List.of("bad", "hang", "open", "ring", "swap", "trace"), offered(""));
        assertEquals(List.of("bad", "hang", "open", "ring", "swap", "trace"), offered("x", "=", ""));
        assertEquals(List.of("another"), offered("s"));
    }

    @DisplayName("Behind a $ the names of the session's variables, but not those that are the shell's own")
    @Test
    void variables() {
        session.put("device", "0000:01:00.0");
        session.put(".hidden", "x");
        session.put("#asked", "x");
        List<String> offered = offered("trace", "$");
        assertTrue(offered.contains("$device"), offered.toString());
        assertTrue(offered.stream().allMatch(name -> name.matches("\\$\\w+")), offered.toString());
    }

    @DisplayName("A function that throws, even an Error, is missing, or returns no list offers nothing; and nothing "
        + "is printed")
    @Test
    void failures() {
        assertEquals(List.of(), offered("bad", ""));
        assertEquals(List.of(), offered("bad", "a", ""));
        assertEquals(List.of(), offered("bad", "a", "b", ""));
        assertEquals(List.of(), offered("bad", "a", "b", "c", ""));
        assertEquals(List.of("guest", "host"), offered("trace", ""));
    }

    @DisplayName("A function that hangs, as in a swap, does not hang the shell; until it returns no function is "
        + "called, and then all is as before")
    @Test
    @Timeout(60)
    void hangs() throws Exception {
        completion = patient(200);
        assertEquals(List.of(), offered("hang", ""));
        fake.entered.await();
        assertEquals(List.of(), offered("hang", ""));
        assertEquals(List.of(), offered("trace", ""));
        fake.free.countDown();
        while (offered("trace", "").isEmpty()) {
            Thread.onSpinWait();
        }
        assertEquals(1, fake.hanging.get(), "asked again while it hung");
    }
}
