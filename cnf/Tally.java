// SPDX-License-Identifier: Apache-2.0
import java.io.InputStream;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.List;
import java.util.stream.Stream;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamReader;

/** Adds up the test reports of all modules: prints how many tests ran, how many failed and how many were skipped. */
final class Tally {
    private static final XMLInputFactory XML = XMLInputFactory.newDefaultFactory();

    private Tally() {
    }

    /** @param arguments the root, and the name of the folders of reports in each module's target */
    public static void main(String[] arguments) throws Exception {
        List<Path> reports;
        PathMatcher report = FileSystems.getDefault().getPathMatcher("glob:**/target/" + arguments[1] + "/**TEST-*.xml");
        try (Stream<Path> files = Files.find(Path.of(arguments[0]), 5, (file, is) -> report.matches(file))) {
            reports = files.toList();
        }
        int run = 0;
        int failed = 0;
        int skipped = 0;
        for (Path each : reports) {
            try (InputStream in = Files.newInputStream(each)) {
                XMLStreamReader xml = XML.createXMLStreamReader(in);
                while (xml.hasNext()) {
                    if (xml.next() == XMLStreamReader.START_ELEMENT && xml.getLocalName().equals("testsuite")) {
                        run += number(xml, "tests");
                        failed += number(xml, "failures") + number(xml, "errors");
                        skipped += number(xml, "skipped");
                    }
                }
            }
        }
        System.out.println(run + " " + failed + " " + skipped);
    }

    private static int number(XMLStreamReader suite, String name) {
        String value = suite.getAttributeValue(null, name);
        return value == null ? 0 : Integer.parseInt(value);
    }
}
