// SPDX-License-Identifier: Apache-2.0
package bench;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarInputStream;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;

/**
 * The yardstick of a start: the product's own jar, its launcher, its framework, its SCR and what that needs, and
 * instead of all other bundles one with as many components as they have, which do nothing.
 */
final class BareFramework {
    /** The bundles SCR needs, by the beginning of their file names. */
    private static final List<String> KEPT = List.of("biz.aQute.launcher-", "org.apache.felix.framework-",
        "org.apache.felix.scr-", "org.apache.felix.configadmin-", "org.apache.felix.log-",
        "org.osgi.service.component-", "org.osgi.util.");
    private static final String BUNDLES = "launch.bundles";
    private static final String TRIVIAL = "jar/trivial.jar";

    private BareFramework() {
    }

    /**
     * Writes it.
     *
     * @param product a jar of bnd's launcher
     * @return how many components there are
     * @throws IOException if the one cannot be read, or the other not be written
     */
    static int write(Path product, Path to) throws IOException {
        try (JarFile jar = new JarFile(product.toFile()); OutputStream file = Files.newOutputStream(to);
             JarOutputStream out = new JarOutputStream(file, jar.getManifest())) {
            int components = 0;
            StringJoiner bundles = new StringJoiner(",");
            Properties properties = new Properties();
            for (JarEntry entry : Collections.list(jar.entries())) {
                String name = entry.getName();
                byte[] bytes = bytes(jar, entry);
                if (name.equals("launcher.properties")) {
                    properties.load(new ByteArrayInputStream(bytes));
                } else if (name.startsWith("jar/") && !entry.isDirectory()
                    && KEPT.stream().noneMatch(name.substring(4)::startsWith)) {
                    components += components(bytes);
                } else if (!name.equals(JarFile.MANIFEST_NAME) && !entry.isDirectory()) {
                    put(out, name, bytes);
                }
            }
            for (String bundle : properties.getProperty(BUNDLES).split(",")) {
                if (KEPT.stream().anyMatch(bundle.substring(4)::startsWith)) {
                    bundles.add(bundle);
                }
            }
            put(out, TRIVIAL, trivial(components));
            properties.setProperty(BUNDLES, bundles.add(TRIVIAL).toString());
            properties.remove("launch.runbundles.attrs");
            ByteArrayOutputStream text = new ByteArrayOutputStream();
            properties.store(text, null);
            put(out, "launcher.properties", text.toByteArray());
            return components;
        }
    }

    private static int components(byte[] bundle) throws IOException {
        try (JarInputStream jar = new JarInputStream(new ByteArrayInputStream(bundle))) {
            Manifest manifest = jar.getManifest();
            String header = manifest == null ? null : manifest.getMainAttributes().getValue("Service-Component");
            return header == null ? 0 : header.split(",").length;
        }
    }

    private static byte[] trivial(int components) throws IOException {
        Manifest manifest = new Manifest();
        Attributes main = manifest.getMainAttributes();
        main.put(Attributes.Name.MANIFEST_VERSION, "1.0");
        main.putValue("Bundle-ManifestVersion", "2");
        main.putValue("Bundle-SymbolicName", "bench.trivial");
        main.putValue("Bundle-Version", "1.0.0");
        StringJoiner descriptions = new StringJoiner(",");
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int i = 0; i < components; i++) {
            descriptions.add("OSGI-INF/trivial" + i + ".xml");
        }
        main.putValue("Service-Component", descriptions.toString());
        try (JarOutputStream out = new JarOutputStream(bytes, manifest)) {
            for (int i = 0; i < components; i++) {
                put(out, "OSGI-INF/trivial" + i + ".xml", ("<scr:component "
                    + "xmlns:scr=\"http://www.osgi.org/xmlns/scr/v1.3.0\" name=\"trivial"
                    + i + "\" immediate=\"true\"><implementation class=\"bench.Trivial\"/></scr:component>")
                        .getBytes(StandardCharsets.UTF_8));
            }
            try (InputStream code = Trivial.class.getResourceAsStream("Trivial.class")) {
                put(out, "bench/Trivial.class", code.readAllBytes());
            }
        }
        return bytes.toByteArray();
    }

    private static byte[] bytes(JarFile jar, JarEntry entry) throws IOException {
        try (InputStream in = jar.getInputStream(entry)) {
            return in.readAllBytes();
        }
    }

    private static void put(JarOutputStream out, String name, byte[] bytes) throws IOException {
        out.putNextEntry(new JarEntry(name));
        out.write(bytes);
        out.closeEntry();
    }
}
