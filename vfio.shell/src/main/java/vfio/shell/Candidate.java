// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.jar.Attributes;
import java.util.jar.Manifest;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.Constants;
import org.osgi.framework.Version;
import org.osgi.framework.wiring.BundleWiring;
import org.osgi.framework.wiring.FrameworkWiring;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;
import org.xml.sax.helpers.DefaultHandler;

/** A jar that is to replace a bundle, and the checks that are possible before anything is touched. Immutable. */
final class Candidate {
    private static final String MANIFEST = "META-INF/MANIFEST.MF";
    private static final String SERVICE_COMPONENT = "Service-Component";
    private static final String SCR = "http://www.osgi.org/xmlns/scr/";
    private static final String HOST = "osgi.wiring.host";
    private static final AtomicLong TRIALS = new AtomicLong();

    private final String name;
    private final Map<String, byte[]> entries;
    private final Manifest manifest;

    private Candidate(String name, Map<String, byte[]> entries) throws IOException {
        this.name = name;
        this.entries = entries;
        byte[] bytes = entries.get(MANIFEST);
        this.manifest = bytes == null ? null : new Manifest(new ByteArrayInputStream(bytes));
    }

    /**
     * Reads a jar, every byte of it.
     *
     * @param jar a path, or a {@code file:} address
     * @throws ErrnoException ENOENT if there is no such file; EINVAL if it is no jar, or a broken one; EIO if it cannot
     *     be read
     */
    static Candidate read(String jar) {
        Path path;
        try {
            path = Path.of(jar.startsWith("file:") ? jar.substring("file:".length()) : jar);
        } catch (InvalidPathException e) {
            throw new ErrnoException(Errno.EINVAL, e, "'%s' is no path: %s", jar, e.getReason());
        }
        if (!Files.exists(path)) {
            throw new ErrnoException(Errno.ENOENT, "there is no file %s", path.toAbsolutePath());
        }
        if (!Files.isRegularFile(path)) {
            throw new ErrnoException(Errno.EINVAL, "%s is no file", path.toAbsolutePath());
        }
        if (!Files.isReadable(path)) {
            throw new ErrnoException(Errno.EACCES, "the file %s cannot be read", path.toAbsolutePath());
        }
        Map<String, byte[]> entries = new LinkedHashMap<>();
        try (ZipFile zip = new ZipFile(path.toFile())) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                if (!entry.isDirectory()) {
                    byte[] bytes;
                    try (InputStream in = zip.getInputStream(entry)) {
                        bytes = in.readAllBytes();
                    }
                    CRC32 sum = new CRC32();
                    sum.update(bytes);
                    if (sum.getValue() != entry.getCrc()) {
                        throw new IOException(
                            String.format("entry %s has CRC-32 0x%08x, not 0x%08x", entry.getName(), sum.getValue(),
                            entry.getCrc()));
                    }
                    entries.put(entry.getName(), bytes);
                }
            }
        } catch (NoSuchFileException e) {
            throw new ErrnoException(Errno.ENOENT, e, "there is no file %s", path.toAbsolutePath());
        } catch (IOException e) {
            // A truncated one lacks the directory at its end.
            throw new ErrnoException(Errno.EINVAL, e, "it is no jar, or not the whole of one: %s", e.getMessage());
        }
        try {
            return new Candidate(path.getFileName().toString(), entries);
        } catch (IOException e) {
            throw new ErrnoException(Errno.EINVAL, e, "its manifest cannot be read: %s", e.getMessage());
        }
    }

    /** {@return what a bundle is made of: the place it was installed from need not be there any more} */
    static Candidate copy(Bundle bundle) throws IOException {
        Map<String, byte[]> entries = new LinkedHashMap<>();
        // Not findEntries: that looks into fragments, too.
        List<String> folders = new ArrayList<>(List.of("/"));
        while (!folders.isEmpty()) {
            for (String path : Collections.list(entryPaths(bundle, folders.remove(0)))) {
                if (path.endsWith("/")) {
                    folders.add(path);
                } else {
                    try (InputStream in = entry(bundle, path).openStream()) {
                        entries.put(path, in.readAllBytes());
                    }
                }
            }
        }
        return new Candidate("a fresh copy of itself", entries);
    }

    private static Enumeration<String> entryPaths(Bundle bundle, String folder) {
        Enumeration<String> paths = bundle.getEntryPaths(folder);
        return paths == null ? Collections.emptyEnumeration() : paths;
    }

    private static URL entry(Bundle bundle, String path) throws IOException {
        URL entry = bundle.getEntry(path);
        if (entry == null) {
            throw new IOException("bundle " + bundle + " lists " + path + " and has it not");
        }
        return entry;
    }

    /** {@return what it is called in messages} */
    String name() {
        return name;
    }

    /** {@return the jar} */
    InputStream content() {
        return jar(entries.get(MANIFEST));
    }

    /** {@return the same with another version, to be installed beside what has the same name and version} */
    InputStream content(Version version) {
        Manifest changed = new Manifest(manifest);
        changed.getMainAttributes().putValue(Constants.BUNDLE_VERSION, version.toString());
        return jar(bytes(changed));
    }

    /**
     * Looks whether it can take a bundle's place, as far as that can be told while the bundle is at work: it is a
     * bundle, its descriptors can be read, it resolves here, and what starts first has all classes it names.
     *
     * @throws ErrnoException EINVAL with the first thing that is wrong; EEXIST if another bundle has its name and
     *     version
     */
    void check(BundleContext context, Bundle replaced) {
        if (manifest == null) {
            throw new ErrnoException(Errno.EINVAL, "it has no manifest (%s), so it is no bundle", MANIFEST);
        }
        String host = header(Constants.FRAGMENT_HOST);
        if (host != null) {
            throw new ErrnoException(Errno.EINVAL, "it is a fragment of %s, and not a bundle that can start", host);
        }
        String symbolicName = symbolicName();
        if (symbolicName.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "its manifest has no %s, so it is no bundle",
                Constants.BUNDLE_SYMBOLICNAME);
        }
        Version version = version();
        for (Bundle other : context.getBundles()) {
            if (other != replaced && symbolicName.equals(other.getSymbolicName())
                && version.equals(other.getVersion())) {
                throw new ErrnoException(Errno.EEXIST, "bundle %d is called %s %s, too", other.getBundleId(),
                    symbolicName, version);
            }
        }
        List<String> classes = new ArrayList<>();
        descriptors().forEach(descriptor -> classes.addAll(components(descriptor)));
        // Fragments of the old one, which the trial under another name lacks, may have the rest.
        BundleWiring wiring = replaced.adapt(BundleWiring.class);
        if (wiring == null || wiring.getProvidedWires(HOST).isEmpty()) {
            resolve(context, symbolicName, classes);
        }
    }

    /** {@return the classes of the components it describes; none if its descriptors cannot be read} */
    List<String> components() {
        try {
            return manifest == null ? List.of()
                : descriptors().stream().flatMap(one -> components(one).stream()).toList();
        } catch (ErrnoException e) {
            // Said by check, of what is new; what is there is as it is.
            return List.of();
        }
    }

    private String header(String key) {
        return manifest.getMainAttributes().getValue(key);
    }

    private String symbolicName() {
        String value = header(Constants.BUNDLE_SYMBOLICNAME);
        return value == null ? "" : value.split(";", 2)[0].trim();
    }

    private Version version() {
        try {
            return Version.parseVersion(header(Constants.BUNDLE_VERSION));
        } catch (IllegalArgumentException e) {
            throw new ErrnoException(Errno.EINVAL, e, "its %s is none: %s", Constants.BUNDLE_VERSION, e.getMessage());
        }
    }

    /** {@return the names of the descriptors of its components} */
    private List<String> descriptors() {
        List<String> descriptors = new ArrayList<>();
        String value = header(SERVICE_COMPONENT);
        for (String path : value == null ? new String[0] : value.split(",")) {
            String wanted = path.trim();
            if (wanted.startsWith("/")) {
                wanted = wanted.substring(1);
            }
            if (wanted.contains("*")) {
                // The last part of a path may be a pattern, which may match nothing.
                String pattern = Arrays.stream(wanted.split("\\*", -1)).map(Pattern::quote)
                    .collect(Collectors.joining("[^/]*"));
                entries.keySet().stream().filter(entry -> entry.matches(pattern)).forEach(descriptors::add);
            } else if (entries.containsKey(wanted)) {
                descriptors.add(wanted);
            } else if (!wanted.isEmpty()) {
                throw new ErrnoException(Errno.EINVAL, "its manifest names a descriptor %s, and there is none", wanted);
            }
        }
        return descriptors;
    }

    /** {@return the classes that a descriptor's components are made of} */
    private List<String> components(String descriptor) {
        Document document;
        try {
            DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
            factory.setNamespaceAware(true);
            factory.setExpandEntityReferences(false);
            DocumentBuilder builder = factory.newDocumentBuilder();
            // Its own handler would print to standard error.
            builder.setErrorHandler(new DefaultHandler());
            builder.setEntityResolver((publicId, systemId) -> {
                throw new SAXException("it refers to " + systemId);
            });
            document = builder.parse(new ByteArrayInputStream(entries.get(descriptor)));
        } catch (SAXException | IOException | ParserConfigurationException e) {
            throw new ErrnoException(Errno.EINVAL, e, "its descriptor %s cannot be read: %s", descriptor,
                e.getMessage());
        }
        List<Element> components = new ArrayList<>();
        Element root = document.getDocumentElement();
        if (component(root)) {
            components.add(root);
        }
        NodeList all = root.getElementsByTagNameNS("*", "component");
        for (int i = 0; i < all.getLength(); i++) {
            if (component((Element) all.item(i))) {
                components.add((Element) all.item(i));
            }
        }
        if (components.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "its descriptor %s describes no component", descriptor);
        }
        List<String> classes = new ArrayList<>();
        for (Element one : components) {
            NodeList implementation = one.getElementsByTagNameNS("*", "implementation");
            String type = implementation.getLength() == 0 ? ""
                : ((Element) implementation.item(0)).getAttribute("class");
            if (type.isEmpty()) {
                throw new ErrnoException(Errno.EINVAL, "its descriptor %s names no implementation class", descriptor);
            }
            classes.add(type);
        }
        return classes;
    }

    private static boolean component(Element element) {
        String namespace = element.getNamespaceURI();
        return "component".equals(element.getLocalName()) && (namespace == null || namespace.startsWith(SCR));
    }

    /**
     * Installs it under another name, without anything that could run, and has it resolved and its first classes
     * loaded.
     */
    private void resolve(BundleContext context, String symbolicName, List<String> classes) {
        Manifest changed = new Manifest(manifest);
        Attributes main = changed.getMainAttributes();
        main.putValue(Constants.BUNDLE_SYMBOLICNAME, symbolicName + ".candidate");
        List.of(Constants.BUNDLE_ACTIVATOR, Constants.BUNDLE_ACTIVATIONPOLICY, SERVICE_COMPONENT)
            .forEach(key -> main.remove(new Attributes.Name(key)));
        Bundle trial = null;
        try {
            trial = context.installBundle("vfio.shell:candidate:" + TRIALS.incrementAndGet(), jar(bytes(changed)));
            if (!context.getBundle(0).adapt(FrameworkWiring.class).resolveBundles(List.of(trial))) {
                // The one call that says why not.
                trial.start(Bundle.START_TRANSIENT);
            }
            String activator = header(Constants.BUNDLE_ACTIVATOR);
            if (activator != null) {
                load(trial, activator.trim(), false);
            }
            for (String type : classes) {
                load(trial, type, true);
            }
        } catch (BundleException e) {
            throw new ErrnoException(Errno.EINVAL, e, "the framework does not take it: %s", Causes.line(e));
        } finally {
            if (trial != null) {
                try {
                    trial.uninstall();
                } catch (BundleException e) {
                    System.getLogger(Candidate.class.getName()).log(System.Logger.Level.WARNING,
                        "the trial of " + name + " stays", e);
                }
            }
        }
    }

    /**
     * Declarative Services looks at a component class's members as this does, and at those of the classes it extends.
     */
    @SuppressWarnings("ReturnValueIgnored")
    private static void load(Bundle trial, String type, boolean component) {
        try {
            Class<?> one = trial.loadClass(type);
            for (; component && one != null && one.getClassLoader() != null; one = one.getSuperclass()) {
                one.getDeclaredConstructors();
                one.getDeclaredMethods();
                one.getDeclaredFields();
            }
        } catch (ClassNotFoundException | LinkageError e) {
            throw new ErrnoException(Errno.EINVAL, e, "its class %s cannot be loaded: %s", type, Causes.line(e));
        }
    }

    private static byte[] bytes(Manifest manifest) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            manifest.write(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /** {@return its entries as a jar, with this for a manifest: null for none} */
    private InputStream jar(byte[] first) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            if (first != null) {
                zip.putNextEntry(new ZipEntry(MANIFEST));
                zip.write(first);
            }
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                if (!entry.getKey().equals(MANIFEST)) {
                    zip.putNextEntry(new ZipEntry(entry.getKey()));
                    zip.write(entry.getValue());
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }
}
