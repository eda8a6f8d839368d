// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.Method;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.Manifest;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * Holds the rules of ARCHITECTURE.md: who may import whom, who exports what, where classes lie. Manifests are bnd's
 * reading of the bytecode.
 */
class RulesTest {
    private static final Path ROOT = Path.of("..");
    private static final Map<String, Set<String>> API_IMPORTS = Map.of(
        "machine.api", Set.of("machine.api"),
        "iommu.api", Set.of("machine.api"),
        "irq.api", Set.of("machine.api"),
        "vfio.api", Set.of("machine.api", "iommu.api", "vfio.api", "vfio.api.msi"));
    /** What sources make machines of; no contract, and nobody else's. */
    private static final String LOCAL = "machine.local";
    private static final Set<String> SOURCES = Set.of("machine.fdt", "machine.acpi", "machine.qemu");
    private static final Pattern PACKAGE = Pattern.compile("(?:^|,)([a-zA-Z0-9_.]+)(?=[;,]|$)");

    @DisplayName("Contracts import contracts as listed; providers import contracts only, never each other; machine "
        + "sources machine.local, too")
    @Test
    void imports() throws IOException {
        for (String bundle : bundles()) {
            for (String name : packages(bundle, "Import-Package")) {
                if (bundles().stream().noneMatch(other -> name.equals(other) || name.startsWith(other + "."))) {
                    continue;
                }
                boolean allowed = name.equals(LOCAL) ? bundle.equals(LOCAL) || SOURCES.contains(bundle)
                    : API_IMPORTS.containsKey(bundle) ? API_IMPORTS.get(bundle).contains(name)
                    : API_IMPORTS.keySet().stream().anyMatch(api -> name.equals(api) || name.startsWith(api + "."));
                assertTrue(allowed, bundle + " imports " + name);
            }
        }
    }

    @DisplayName("Only contracts export packages, and machine.local its one")
    @Test
    void exports() throws IOException {
        for (String bundle : bundles()) {
            if (!API_IMPORTS.containsKey(bundle)) {
                assertEquals(bundle.equals(LOCAL) ? Set.of(LOCAL) : Set.of(), packages(bundle, "Export-Package"),
                    bundle);
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
                            || name.matches(".*\\b(core|common|util|utils|impl|internal)\\b.*")
                        || file.getFileName().toString().endsWith("Impl.java")) {
                        misplaced.add(file.toString());
                    }
                });
            }
        }
        assertEquals(List.of(), misplaced);
    }

    @DisplayName("Every in-framework test is cleaned up after, however it ends")
    @Test
    void cleaned() throws IOException {
        List<String> others = new ArrayList<>();
        try (DirectoryStream<Path> tests = Files.newDirectoryStream(ROOT.resolve("itest/src/main/java/itest"),
            "*Test.java")) {
            for (Path test : tests) {
                if (!Files.readString(test).contains("@ExtendWith(Cleaned.class)")) {
                    others.add(test.getFileName().toString());
                }
            }
        }
        assertEquals(List.of(), others);
    }

    @DisplayName("Every bundle has a README")
    @Test
    void readmes() throws IOException {
        for (String bundle : bundles()) {
            assertTrue(Files.isRegularFile(ROOT.resolve(bundle).resolve("README.md")), bundle);
        }
    }

    /**
     * A component has a configuration if it is given its properties, or describes them. Looked for in what bnd has
     * built: the descriptors that Declarative Services and Metatype read.
     */
    @DisplayName("Every component with a configuration has a metatype with names, descriptions and defaults; a "
        + "change restarts none")
    @Test
    void configurations() throws Exception {
        List<String> wrong = new ArrayList<>();
        int found = 0;
        for (String bundle : bundles()) {
            Path classes = ROOT.resolve(bundle).resolve("target/classes");
            Map<String, Element> designates = new HashMap<>();
            for (Element metatype : descriptors(classes.resolve("OSGI-INF/metatype"))) {
                children(metatype, "Designate")
                    .forEach(one -> designates.put(one.getAttribute("pid") + one.getAttribute("factoryPid"),
                    metatype));
            }
            for (Element component : descriptors(classes.resolve("OSGI-INF"))) {
                String name = component.getAttribute("name");
                Class<?> type = Class.forName(children(component, "implementation").get(0).getAttribute("class"));
                Optional<Class<?>> config = Arrays.stream(type.getDeclaredClasses()).filter(Class::isAnnotation)
                    .findFirst();
                boolean reads = Stream.concat(Arrays.stream(type.getDeclaredConstructors()),
                        Arrays.stream(type.getDeclaredMethods())
                        .filter(method -> method.getName().matches("activate|modified")))
                    .flatMap(one -> Arrays.stream(one.getParameterTypes()))
                    .anyMatch(one -> one == Map.class || one.isAnnotation());
                if (config.isEmpty() && (!reads || name.equals("launcher.Cli"))) {
                    continue; // The command line's map is of the launcher's service.
                }
                found++;
                if (config.isEmpty() || !designates.containsKey(name) || !component.hasAttribute("modified")) {
                    wrong.add(name
                        + ": has a configuration, but no @Designate, no annotation that describes it, or no @Modified");
                    continue;
                }
                wrong.addAll(flaws(name, config.get(), designates.get(name), bundle));
            }
        }
        assertEquals(List.of(), wrong);
        assertTrue(found >= 10, found + " configurations");
    }

    private static List<String> flaws(String pid, Class<?> config, Element metatype, String bundle) throws IOException {
        List<String> flaws = new ArrayList<>();
        Element description = children(metatype, "OCD").get(0);
        Map<String, Element> attributes = new HashMap<>();
        children(description, "AD").forEach(one -> attributes.put(one.getAttribute("id"), one));
        String readme = Files.readString(ROOT.resolve(bundle).resolve("README.md"));
        if (description.getAttribute("name").isBlank() || description.getAttribute("description").isBlank()) {
            flaws.add(pid + ": neither name nor description may be missing");
        }
        for (Method method : config.getDeclaredMethods()) {
            String key = method.getName().replace('_', '.');
            Element attribute = attributes.remove(key);
            if (attribute == null || attribute.getAttribute("name").isBlank()
                || attribute.getAttribute("description").isBlank()) {
                flaws.add(pid + ": " + key + " needs a name and a description");
            } else if (method.getDefaultValue() != null && attribute.getAttribute("default").isBlank()) {
                flaws.add(pid + ": " + key + " has no default");
            }
            if (!Pattern.compile("`" + Pattern.quote(pid) + "`[^\n]*\\| `" + Pattern.quote(key) + "` \\|")
                .matcher(readme).find()) {
                flaws.add(pid + ": " + key + " is in no row of the README's table of configurations");
            }
        }
        attributes.keySet().forEach(key -> flaws.add(pid + ": nothing reads " + key));
        return flaws;
    }

    private static List<Element> descriptors(Path folder) throws Exception {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        List<Element> all = new ArrayList<>();
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder, "*.xml")) {
            for (Path file : files) {
                all.add(DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile())
                    .getDocumentElement());
            }
        }
        return all;
    }

    @DisplayName("The bill of materials has every bundle but the launcher, and the build's version")
    @Test
    void bom() throws Exception {
        List<String> bundles = new ArrayList<>(bundles());
        bundles.remove("launcher");
        Element bom = document(ROOT.resolve("bom/pom.xml"));
        assertEquals(bundles, children(bom, "dependency").stream()
            .map(one -> children(one, "artifactId").get(0).getTextContent()).toList());
        assertEquals(children(document(ROOT.resolve("pom.xml")), "version").get(0).getTextContent(),
            children(bom, "version").get(0).getTextContent());
    }

    private static Element document(Path file) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(file.toFile()).getDocumentElement();
    }

    private static List<Element> children(Element parent, String name) {
        List<Element> all = new ArrayList<>();
        NodeList found = parent.getElementsByTagName(name);
        for (int i = 0; i < found.getLength(); i++) {
            all.add((Element) found.item(i));
        }
        return all;
    }

    private static List<String> bundles() throws IOException {
        Matcher matcher = Pattern.compile("<module>([^<]+)</module>")
            .matcher(Files.readString(ROOT.resolve("pom.xml")));
        List<String> names = new ArrayList<>();
        while (matcher.find()) {
            if (!matcher.group(1).matches("bom|itest|bench|stress|machine\\.fixture")) {
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
