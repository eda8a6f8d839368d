// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.Manifest;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Holds the rules of ARCHITECTURE.md: who may import whom, who exports what, where classes lie. Manifests are bnd's reading of
 * the bytecode.
 */
class RulesTest {
    private static final Path ROOT = Path.of("..");
    private static final Map<String, Set<String>> API_IMPORTS = Map.of(
        "machine.api", Set.of(),
        "iommu.api", Set.of("machine.api"),
        "irq.api", Set.of("machine.api"),
        "vfio.api", Set.of("machine.api", "iommu.api", "vfio.api", "vfio.api.msi"));
    private static final Pattern PACKAGE = Pattern.compile("(?:^|,)([a-zA-Z0-9_.]+)(?=[;,]|$)");

    @DisplayName("Contracts import contracts as listed; providers import contracts only, never each other")
    @Test
    void imports() throws IOException {
        for (String bundle : bundles()) {
            for (String name : packages(bundle, "Import-Package")) {
                if (bundles().stream().noneMatch(other -> name.equals(other) || name.startsWith(other + "."))) {
                    continue;
                }
                boolean allowed = API_IMPORTS.containsKey(bundle) ? API_IMPORTS.get(bundle).contains(name)
                    : API_IMPORTS.keySet().stream().anyMatch(api -> name.equals(api) || name.startsWith(api + "."));
                assertTrue(allowed, bundle + " imports " + name);
            }
        }
    }

    @DisplayName("Only contracts export packages")
    @Test
    void exports() throws IOException {
        for (String bundle : bundles()) {
            if (!API_IMPORTS.containsKey(bundle)) {
                assertEquals(Set.of(), packages(bundle, "Export-Package"), bundle);
            }
        }
    }

    @DisplayName("Every class lies in its folder's root package or below; nothing is called core, common, util, impl")
    @Test
    void folders() throws IOException {
        List<String> misplaced = new ArrayList<>();
        for (String bundle : bundles()) {
            Path sources = ROOT.resolve(bundle).resolve("src/main/java");
            try (Stream<Path> files = Files.walk(sources)) {
                files.filter(file -> file.toString().endsWith(".java")).forEach(file -> {
                    String name = sources.relativize(file.getParent()).toString().replace('/', '.');
                    if (!name.equals(bundle) && !name.startsWith(bundle + ".")
                            || name.matches(".*\\b(core|common|util|utils|impl|internal)\\b.*") || file.getFileName().toString().endsWith("Impl.java")) {
                        misplaced.add(file.toString());
                    }
                });
            }
        }
        assertEquals(List.of(), misplaced);
    }

    @DisplayName("Every bundle has a README")
    @Test
    void readmes() throws IOException {
        for (String bundle : bundles()) {
            assertTrue(Files.isRegularFile(ROOT.resolve(bundle).resolve("README.md")), bundle);
        }
    }

    private static List<String> bundles() throws IOException {
        Matcher matcher = Pattern.compile("<module>([^<]+)</module>").matcher(Files.readString(ROOT.resolve("pom.xml")));
        List<String> names = new ArrayList<>();
        while (matcher.find()) {
            if (!matcher.group(1).matches("itest|bench|stress")) {
                names.add(matcher.group(1));
            }
        }
        assertTrue(names.size() >= 12, "modules found: " + names);
        return names;
    }

    private static Set<String> packages(String bundle, String header) throws IOException {
        Path manifest = ROOT.resolve(bundle).resolve("target/classes/META-INF/MANIFEST.MF");
        assertTrue(Files.isRegularFile(manifest), manifest + ": build the bundle first");
        try (InputStream in = Files.newInputStream(manifest)) {
            Attributes attributes = new Manifest(in).getMainAttributes();
            assertEquals(bundle, attributes.getValue("Bundle-SymbolicName"));
            String clauses = attributes.getValue(header);
            Set<String> names = new TreeSet<>();
            // Quoted directives hold commas of their own.
            Matcher matcher = PACKAGE.matcher(clauses == null ? "" : clauses.replaceAll("\"[^\"]*\"", ""));
            while (matcher.find()) {
                names.add(matcher.group(1));
            }
            return names;
        }
    }
}
