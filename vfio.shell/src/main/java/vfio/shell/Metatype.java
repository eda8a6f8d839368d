// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.parsers.ParserConfigurationException;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import org.xml.sax.SAXException;

/**
 * One configuration as its bundle describes it. It is read from the bundle's own file, because Metatype's service does
 * not report the smallest and the largest value, which a refusal names.
 *
 * @param factory whether there is one configuration of this kind for each instance
 */
record Metatype(String pid, boolean factory, String bundle, String name, String description,
    List<Attribute> attributes) {
    private static final String FOLDER = "OSGI-INF/metatype";

    /**
     * One of its attributes.
     *
     * @param type as Metatype calls it: Integer, Long, Boolean, String
     * @param several whether it has any number of values
     * @param standard its default as text, with commas between several values; empty without one
     * @param least the smallest legal value; empty if there is no limit
     * @param most the largest legal value; empty if there is no limit
     * @param options the only legal values; empty for any
     */
    record Attribute(String key, String type, boolean several, String name, String description, String standard,
        String least,
            String most, List<String> options) {
        /** {@return what is legal, in words} */
        String legal() {
            String kind = switch (type) {
                case "Integer", "Long", "Short", "Byte" -> least.isEmpty() && most.isEmpty() ? "a number"
                    : most.isEmpty() ? "a number from " + least + " on"
                    : least.isEmpty() ? "a number up to " + most : least + ".." + most;
                case "Boolean" -> "true or false";
                default -> "any text";
            };
            String one = options.isEmpty() ? kind : String.join(" or ", options);
            return several ? "several with commas between, each " + one : one;
        }

        /**
         * {@return what text says, of the attribute's type}
         *
         * @throws ErrnoException EINVAL if it is not legal, naming what is
         */
        Object parse(String text) {
            if (!several) {
                return value(text.trim());
            }
            List<Object> values = new ArrayList<>();
            if (!text.isBlank()) {
                Arrays.stream(text.split(",", -1)).forEach(part -> values.add(value(part.trim())));
            }
            return switch (type) {
                case "Integer" -> values.stream().mapToInt(value -> (Integer) value).toArray();
                case "Long" -> values.stream().mapToLong(value -> (Long) value).toArray();
                default -> values.toArray(String[]::new);
            };
        }

        private Object value(String text) {
            try {
                Object value = switch (type) {
                    case "Integer" -> Integer.decode(text);
                    case "Long" ->
                    text.regionMatches(true, 0, "0x", 0, 2) ? (Object) Long.parseUnsignedLong(text.substring(2), 16)
                        : (Object) Long.decode(text);
                    case "Boolean" -> text.matches("(?i)true|false") ? Boolean.valueOf(text) : null;
                    default -> text;
                };
                boolean inside = value instanceof Number number && !(value instanceof Double)
                    ? (least.isEmpty() || number.longValue() >= Long.parseLong(least))
                        && (most.isEmpty() || number.longValue() <= Long.parseLong(most))
                    : value != null;
                if (inside
                    && (options.isEmpty() || options.stream().anyMatch(String.valueOf(value)::equalsIgnoreCase))) {
                    return value;
                }
            } catch (NumberFormatException e) {
                throw refusal(text, e);
            }
            throw refusal(text, null);
        }

        private ErrnoException refusal(String text, Exception cause) {
            return new ErrnoException(Errno.EINVAL, cause, "%s=%s is refused, legal is %s", key, text, legal());
        }
    }

    /** {@return what the bundles that are there describe, by PID} */
    static List<Metatype> of(BundleContext context) {
        List<Metatype> all = new ArrayList<>();
        for (Bundle bundle : context.getBundles()) {
            var files = bundle.findEntries(FOLDER, "*.xml", false);
            for (URL file : files == null ? List.<URL>of() : Collections.list(files)) {
                try (InputStream in = file.openStream()) {
                    all.addAll(read(bundle.getSymbolicName(), in));
                } catch (IOException | SAXException | ParserConfigurationException e) {
                    throw new ErrnoException(Errno.EIO, e, "%s of bundle %s cannot be read: %s", file.getPath(),
                        bundle.getSymbolicName(), e.getMessage());
                }
            }
        }
        all.sort(Comparator.comparing(Metatype::pid));
        return all;
    }

    static List<Metatype> read(String bundle, InputStream file)
        throws IOException, SAXException, ParserConfigurationException {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setFeature("http://apache.org/xml/features/disallow-doctype-decl", true);
        Document document = factory.newDocumentBuilder().parse(file);
        List<Metatype> all = new ArrayList<>();
        for (Element designate : children(document.getDocumentElement(), "Designate")) {
            String reference = children(designate, "Object").get(0).getAttribute("ocdref");
            children(document.getDocumentElement(), "OCD").stream()
                .filter(one -> one.getAttribute("id").equals(reference)).forEach(one -> {
                boolean many = designate.hasAttribute("factoryPid");
                all.add(new Metatype(designate.getAttribute(many ? "factoryPid" : "pid"), many, bundle,
                        one.getAttribute("name"),
                    one.getAttribute("description"), children(one, "AD").stream().map(Metatype::attribute).toList()));
            });
        }
        return all;
    }

    private static Attribute attribute(Element one) {
        String cardinality = one.getAttribute("cardinality");
        return new Attribute(one.getAttribute("id"), one.getAttribute("type"),
            !cardinality.isEmpty() && !cardinality.equals("0"), one.getAttribute("name"),
            one.getAttribute("description"), one.getAttribute("default"), one.getAttribute("min"),
            one.getAttribute("max"),
            children(one, "Option").stream().map(option -> option.getAttribute("value")).toList());
    }

    private static List<Element> children(Element parent, String name) {
        NodeList found = parent.getElementsByTagName(name);
        return IntStream.range(0, found.getLength()).mapToObj(found::item).map(Element.class::cast).toList();
    }

    /** @throws ErrnoException ENOENT if it has no such attribute, naming near ones */
    Attribute attribute(String key) {
        return attributes.stream().filter(one -> one.key().equals(key)).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT,
            "configuration %s has no key %s; %s", pid, key,
                near(key, attributes.stream().map(Attribute::key).toList())));
    }

    /** {@return the names that a typing mistake may have meant, or all of them} */
    static String near(String wrong, List<String> names) {
        int bound = Math.max(2, wrong.length() / 4);
        List<String> close = names.stream().filter(name -> distance(wrong, name) <= bound || name.startsWith(wrong))
            .sorted(Comparator.comparingInt(name -> distance(wrong, name))).limit(3).toList();
        return close.isEmpty() ? "there are " + String.join(", ", names) : "near is " + String.join(", ", close);
    }

    /** Levenshtein's: how many letters have to be put in, taken out or changed. */
    private static int distance(String a, String b) {
        int[] row = IntStream.rangeClosed(0, b.length()).toArray();
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int changed = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(changed, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[b.length()];
    }
}
