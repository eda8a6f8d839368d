// SPDX-License-Identifier: Apache-2.0
package bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarInputStream;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a start is compared with. */
class BareFrameworkTest {
    @TempDir
    private Path directory;

    @DisplayName("framework, launcher and SCR stay; all other bundles become one with as many components as they have")
    @Test
    void bare() throws IOException {
        Path product = directory.resolve("product.jar");
        String bundles = "jar/iommu.pamu-1.jar,jar/org.apache.felix.scr-2.jar,jar/vfio.shell-1.jar";
        write(Files.newOutputStream(product), Map.of(), Map.of(
            "launcher.properties",
            ("launch.bundles=" + bundles + "\nlaunch.keep=false\n").getBytes(StandardCharsets.UTF_8),
            "aQute/Launcher.class", new byte[] {1},
            "jar/biz.aQute.launcher-7.jar", bundle(null),
            "jar/org.apache.felix.scr-2.jar", bundle("OSGI-INF/of.scr.xml"),
            "jar/iommu.pamu-1.jar", bundle("OSGI-INF/a.xml,OSGI-INF/b.xml"),
            "jar/vfio.shell-1.jar", bundle("OSGI-INF/c.xml"),
            "jar/gson-2.jar", bundle(null)));

        Path bare = directory.resolve("bare.jar");
        assertEquals(3, BareFramework.write(product, bare));

        try (JarFile jar = new JarFile(bare.toFile())) {
            TreeSet<String> names = new TreeSet<>();
            jar.stream().forEach(entry -> names.add(entry.getName()));
            assertEquals(
                "[META-INF/MANIFEST.MF, aQute/Launcher.class, jar/biz.aQute.launcher-7.jar, "
                    + "jar/org.apache.felix.scr-2.jar, jar/trivial.jar, launcher.properties]", names.toString());
            assertEquals("launch", jar.getManifest().getMainAttributes().getValue(Attributes.Name.MAIN_CLASS));
            Properties properties = new Properties();
            try (InputStream in = jar.getInputStream(jar.getEntry("launcher.properties"))) {
                properties.load(in);
            }
            assertEquals("jar/org.apache.felix.scr-2.jar,jar/trivial.jar", properties.getProperty("launch.bundles"));
            assertEquals("false", properties.getProperty("launch.keep"));
            TreeSet<String> inside = new TreeSet<>();
            try (JarInputStream trivial = new JarInputStream(jar.getInputStream(jar.getEntry("jar/trivial.jar")))) {
                assertEquals("OSGI-INF/trivial0.xml,OSGI-INF/trivial1.xml,OSGI-INF/trivial2.xml",
                    trivial.getManifest().getMainAttributes().getValue("Service-Component"));
                for (JarEntry entry = trivial.getNextJarEntry(); entry != null; entry = trivial.getNextJarEntry()) {
                    inside.add(entry.getName());
                }
            }
            assertEquals("[OSGI-INF/trivial0.xml, OSGI-INF/trivial1.xml, OSGI-INF/trivial2.xml, bench/Trivial.class]",
                inside.toString());
        }
    }

    private static byte[] bundle(String components) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        write(bytes, components == null ? Map.of() : Map.of("Service-Component", components),
            Map.of("x", new byte[] {2}));
        return bytes.toByteArray();
    }

    private static void write(OutputStream to, Map<String, String> headers, Map<String, byte[]> entries)
        throws IOException {
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        manifest.getMainAttributes().put(Attributes.Name.MAIN_CLASS, "launch");
        headers.forEach(manifest.getMainAttributes()::putValue);
        try (JarOutputStream out = new JarOutputStream(to, manifest)) {
            for (Map.Entry<String, byte[]> entry : new TreeMap<>(entries).entrySet()) {
                out.putNextEntry(new JarEntry(entry.getKey()));
                out.write(entry.getValue());
                out.closeEntry();
            }
        }
    }
}
