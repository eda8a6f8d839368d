// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Holds the documents to the checkout they describe. */
class DocumentsTest {
    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Pattern LINK = Pattern.compile("]\\(([^)\\s]+)\\)");
    private static final Pattern HEADING = Pattern.compile("^#+ +(.*)$", Pattern.MULTILINE);

    @DisplayName("Every relative link in a document leads to a file, and its fragment to a heading there")
    @Test
    void links() throws IOException {
        List<String> broken = new ArrayList<>();
        int found = 0;
        for (Path document : documents()) {
            Matcher link = LINK.matcher(Files.readString(document));
            while (link.find()) {
                String target = link.group(1);
                if (target.contains("://")) {
                    continue;
                }
                found++;
                int hash = target.indexOf('#');
                String file = hash < 0 ? target : target.substring(0, hash);
                Path path = file.isEmpty() ? document : document.resolveSibling(file).normalize();
                if (!Files.exists(path) || hash >= 0 && !headings(path).contains(target.substring(hash + 1))) {
                    broken.add(ROOT.relativize(document) + ": " + target);
                }
            }
        }
        assertEquals(List.of(), broken);
        assertTrue(found > 100, found + " links");
    }

    @DisplayName("The program in README.md is FirstInterrupt, line by line")
    @Test
    void program() throws IOException {
        String source = Files.readString(Path.of("src/test/java/launcher/FirstInterrupt.java"));
        String start = "// README\n";
        String program = source.substring(source.indexOf(start) + start.length(), source.indexOf("        // end\n"))
            .indent(-8);
        assertTrue(program.lines().count() > 10, program);
        assertTrue(Files.readString(ROOT.resolve("README.md")).contains("```java\n" + program + "```\n"), program);
    }

    private static List<Path> documents() throws IOException {
        List<Path> documents = new ArrayList<>();
        try (Stream<Path> folders = Files.list(ROOT)) {
            for (Path folder : folders.filter(Files::isDirectory)
                .filter(path -> Files.exists(path.resolve("README.md"))).toList()) {
                documents.add(folder.resolve("README.md"));
            }
        }
        for (Path folder : List.of(ROOT, ROOT.resolve("docs"), ROOT.resolve("docs/decisions"))) {
            try (Stream<Path> files = Files.list(folder)) {
                documents.addAll(files.filter(file -> file.toString().endsWith(".md")).toList());
            }
        }
        return documents;
    }

    /** {@return the fragments of a document's headings, as GitHub makes them} */
    private static Set<String> headings(Path document) throws IOException {
        Set<String> headings = new HashSet<>();
        Matcher heading = HEADING.matcher(Files.readString(document));
        while (heading.find()) {
            headings
                .add(heading.group(1).toLowerCase(Locale.ROOT).replaceAll("[^\\p{L}\\p{N} _-]", "").replace(' ', '-'));
        }
        return headings;
    }
}
