// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.util.Dictionary;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;

class ConfigCommandsTest {
    private static final String FILE = """
        <metatype:MetaData xmlns:metatype="http://www.osgi.org/xmlns/metatype/v1.2.0">
          <OCD id="C" name="Containers" description="What the host allows">
            <AD id="stall.bound" type="Long" name="Stall bound" description="milliseconds; for new containers" min="0" max="3600000" default="1000"/>
            <AD id="entry.limit" type="Integer" name="Limit" description="mappings" min="1" default="65535"/>
            <AD id="unsafe" type="Boolean" name="Unsafe" description="nobody verifies" default="false"/>
            <AD id="policy" type="String" name="Policy" description="what is done" default="report">
              <Option label="report" value="report"/><Option label="disable" value="disable"/>
            </AD>
            <AD id="levels" type="Integer" cardinality="2147483647" name="Levels" description="depths" min="3" max="5" default="4"/>
            <AD id="classes" type="String" cardinality="2147483647" name="Classes" description="of devices" default="0c03,03"/>
          </OCD>
          <Designate pid="vfio.container"><Object ocdref="C"/></Designate>
        </metatype:MetaData>
        """;
    private static final String UNIT = """
        <metatype:MetaData xmlns:metatype="http://www.osgi.org/xmlns/metatype/v1.2.0">
          <OCD id="U" name="Unit" description="Hardware"><AD id="version" type="Integer" name="V" description="of it" default="1"/></OCD>
          <OCD id="D" name="device" description="A device"><AD id="mask" type="Long" name="M" description="lines"/></OCD>
          <Designate pid="vfio.container.unit"><Object ocdref="U"/></Designate>
          <Designate factoryPid="device.edu"><Object ocdref="D"/></Designate>
        </metatype:MetaData>
        """;

    private final Map<String, Dictionary<String, Object>> stored = new TreeMap<>();
    private int deliveries;
    private final ConfigCommands commands = new ConfigCommands(admin(),
        () -> deliveries++, () -> {
        try {
            List<Metatype> one = Metatype.read("a", new ByteArrayInputStream(FILE.getBytes(StandardCharsets.UTF_8)));
            return Stream.concat(one.stream(),
                Metatype.read("b", new ByteArrayInputStream(UNIT.getBytes(StandardCharsets.UTF_8))).stream()).toList();
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    });

    private static <T> T proxy(Class<T> type, BiFunction<String, Object[], Object> answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> answer.apply(method.getName(), arguments)));
    }

    private ConfigurationAdmin admin() {
        return proxy(ConfigurationAdmin.class, (name, arguments) -> {
            if (name.equals("getConfiguration")) {
                assertEquals("?", arguments[1], "not bound to the shell's bundle");
                return configuration((String) arguments[0]);
            }
            String filter = (String) arguments[0];
            Configuration[] found = stored.keySet().stream().filter(pid -> filter.equals("(service.pid=" + pid + ")")
                || filter.equals("(service.factoryPid=device.edu)") && pid.startsWith("device.edu~"))
                .map(this::configuration)
                .toArray(Configuration[]::new);
            return found.length == 0 ? null : found;
        });
    }

    @SuppressWarnings("unchecked")
    private Configuration configuration(String pid) {
        return proxy(Configuration.class, (name, arguments) -> switch (name) {
            case "getPid" -> pid;
            case "getProperties" -> stored.get(pid);
            case "update" -> stored.put(pid, (Dictionary<String, Object>) arguments[0]);
            default -> throw new AssertionError(name);
        });
    }

    private static void refused(Errno errno, String text, Executable call) {
        ErrnoException e = assertThrows(ErrnoException.class, call);
        assertEquals(errno, e.errno());
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }

    @Test
    @DisplayName("config: lists PIDs; with one, its keys with value, default, type, legal values and meaning")
    void shows() throws Exception {
        assertTrue(commands.config().contains("vfio.container.unit"), commands.config());
        assertTrue(commands.config().contains("there is none"), commands.config());
        commands.config("vfio.container", "stall.bound", "250");
        String text = commands.config("vfio.container");
        assertTrue(
            text.contains(
                "  stall.bound = 250 (default 1000)\n      Long: 0..3600000\n      milliseconds; for new containers\n"),
            text);
        assertTrue(text.contains("  entry.limit = 65535 (default)\n      Integer: a number from 1 on\n"), text);
        assertTrue(text.contains("      Integer[]: several with commas between, each 3..5\n"), text);
        assertTrue(commands.config("vfio.container", "policy").contains("String: report or disable"));
        assertTrue(text.lines().allMatch(line -> line.length() <= 80), text);
    }

    @Test
    @DisplayName("config: a value is stored with the type that is described; default forgets it; others stay")
    void sets() throws Exception {
        commands.config("vfio.container", "stall.bound", "0xfa");
        commands.config("vfio.container", "entry.limit", "7");
        commands.config("vfio.container", "unsafe", "TRUE");
        commands.config("vfio.container", "policy", "disable");
        commands.config("vfio.container", "levels", "3, 4");
        commands.config("vfio.container", "classes", "");
        Dictionary<String, Object> now = stored.get("vfio.container");
        assertEquals(250L, now.get("stall.bound"));
        assertEquals(7, now.get("entry.limit"));
        assertEquals(true, now.get("unsafe"));
        assertEquals("disable", now.get("policy"));
        assertArrayEquals(new int[] {3, 4}, (int[]) now.get("levels"));
        assertArrayEquals(new String[0], (String[]) now.get("classes"));
        assertEquals("vfio.container stall.bound is 1000: milliseconds; for new containers",
            commands.config("vfio.container", "stall.bound", "default"));
        assertEquals(null, now.get("stall.bound"));
        assertEquals(7, deliveries, "each is handed over before the command returns");
        assertEquals(5, now.size());
    }

    @Test
    @DisplayName("config PID.KEY=VALUE: the longest PID that is known; a value may have equals signs and be empty")
    void assigns() throws Exception {
        commands.config("vfio.container.stall.bound=250");
        commands.config("vfio.container.unit.version=3");
        assertEquals(250L, stored.get("vfio.container").get("stall.bound"));
        assertEquals(3, stored.get("vfio.container.unit").get("version"));
        refused(Errno.EINVAL, "policy=a=b is refused, legal is report or disable",
            () -> commands.config("vfio.container.policy=a=b"));
        refused(Errno.EINVAL, "stall.bound= is refused", () -> commands.config("vfio.container.stall.bound="));
    }

    @Test
    @DisplayName("config: an illegal value is EINVAL naming the legal ones; an unknown key is ENOENT naming similar "
        + "ones; nothing is stored")
    void refusals() {
        refused(Errno.EINVAL, "stall.bound=3600001 is refused, legal is 0..3600000", () ->
            commands.config("vfio.container", "stall.bound", "3600001"));
        refused(Errno.EINVAL, "entry.limit=0 is refused, legal is a number from 1 on",
            () -> commands.config("vfio.container", "entry.limit", "0"));
        refused(Errno.EINVAL, "legal is a number from 1 on",
            () -> commands.config("vfio.container", "entry.limit", "4294967297"));
        refused(Errno.EINVAL, "legal is true or false", () -> commands.config("vfio.container", "unsafe", "yes"));
        refused(Errno.EINVAL, "each 3..5", () -> commands.config("vfio.container", "levels", "4,6"));
        refused(Errno.ENOENT, "near is vfio.container", () -> commands.config("vfio.contaner"));
        refused(Errno.ENOENT, "no configuration is called nonsense; there are vfio.container, vfio.container.unit",
            () ->
            commands.config("nonsense", "a", "b"));
        refused(Errno.ENOENT, "has no key stall.bond; near is stall.bound",
            () -> commands.config("vfio.container.stall.bond=1"));
        refused(Errno.ENOENT, "near is vfio.container.stall.bound",
            () -> commands.config("vfio.contaner.stall.bound=1"));
        refused(Errno.ENOENT, "for each device, and there is none", () -> commands.config("device.edu.mask=1"));
        assertEquals(Map.of(), stored);
    }

    @Test
    @DisplayName("configurable: PIDs, the keys of one, the values of a key: the completions behind config")
    void completes() throws Exception {
        assertEquals(List.of("vfio.container", "vfio.container.unit"), commands.configurable());
        assertEquals(List.of("stall.bound", "entry.limit", "unsafe", "policy", "levels", "classes"),
            commands.configurable("vfio.container"));
        assertEquals(List.of("1000", "0", "3600000", "default"),
            commands.configurable("vfio.container", "stall.bound"));
        assertEquals(List.of("true", "false", "default"), commands.configurable("vfio.container", "unsafe"));
        assertEquals(List.of("report", "disable", "default"), commands.configurable("vfio.container", "policy"));
        refused(Errno.ENOENT, "near is vfio.container", () -> commands.configurable("vfio.contaner"));
    }

    @Test
    @DisplayName("config: an instance of a factory is configured by its own PID")
    void instances() throws Exception {
        stored.put("device.edu~one", new Hashtable<>(Map.of("mask", 1L)));
        assertTrue(commands.config().contains("device.edu~one"));
        commands.config("device.edu~one", "mask", "-1");
        commands.config("device.edu~one.mask=0xffffffffffffffff");
        assertEquals(-1L, stored.get("device.edu~one").get("mask"));
    }
}
