// SPDX-License-Identifier: Apache-2.0
package vfio.health;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.hc.api.HealthCheck;
import org.apache.felix.hc.api.Result;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Vfio;
import vfio.api.swap.Swaps;

class HealthCommandsTest {
    private final HealthCommands commands = new HealthCommands();

    /** A host on which nothing has happened yet. */
    private static Vfio idle() {
        return vfio(Optional.of((Swaps) Proxy.newProxyInstance(Swaps.class.getClassLoader(),
            new Class<?>[] {Swaps.class}, (self, method, arguments) -> List.of())));
    }

    private static Vfio vfio(Optional<Swaps> swaps) {
        return (Vfio) Proxy.newProxyInstance(Vfio.class.getClassLoader(), new Class<?>[] {Vfio.class},
            (self, method, arguments) -> method.getName().equals("extension") ? swaps : List.of());
    }

    @Test
    @DisplayName("a host without containers is well, and both checks say why")
    void idleHost() {
        for (HealthCheck check : List.of(new ContainersCheck(idle()), new SwapsCheck(idle()))) {
            assertEquals(Result.Status.OK, check.execute().getStatus());
            assertTrue(check.execute().iterator().hasNext());
        }
        assertTrue(new ContainersCheck(idle()).execute().toString().contains("no container is open"));
    }

    @Test
    @DisplayName("a world that swaps nothing is well, and the check of swaps says so")
    void swapsNothing() {
        Vfio vfio = vfio(Optional.empty());
        assertEquals(Result.Status.OK, new ContainersCheck(vfio).execute().getStatus());
        Result swaps = new SwapsCheck(vfio).execute();
        assertEquals(Result.Status.OK, swaps.getStatus());
        assertTrue(swaps.toString().contains("swaps nothing"), swaps.toString());
    }

    @Test
    @DisplayName("hc runs all checks, by name; hc TAG or hc NAME some; an unknown one is ENOENT and names those "
        + "there are")
    void chooses() {
        assertTrue(commands.hc().contains("there is no health check"));
        HealthCheck mine = () -> new Result(Result.Status.WARN, "rather full");
        commands.addCheck(mine, Map.of(HealthCheck.NAME, "disk", HealthCheck.TAGS, new String[] {"host", "disks"}));
        commands.addCheck(new ContainersCheck(idle()),
            Map.of(HealthCheck.NAME, "VFIO containers", HealthCheck.TAGS, "vfio"));
        assertEquals("VFIO containers: OK\n    no container is open\ndisk: WARN\n    rather full\n", commands.hc());
        assertEquals("disk: WARN\n    rather full\n", commands.hc("Disks"));
        assertEquals("VFIO containers: OK\n    no container is open\n", commands.hc("vfio containers"));
        ErrnoException unknown = assertThrows(ErrnoException.class, () -> commands.hc("net"));
        assertEquals(Errno.ENOENT, unknown.errno());
        assertTrue(unknown.getMessage().contains("disk [host, disks]"), unknown.getMessage());
        assertEquals(List.of("host", "disks", "disk", "vfio", "VFIO containers"), commands.__checks());
        commands.removeCheck(mine);
        assertThrows(ErrnoException.class, () -> commands.hc("disk"));
    }

    @Test
    @DisplayName("a check that throws is a failed check, and the others are run")
    void broken() {
        commands.addCheck(() -> {
            throw new IllegalStateException("no disk");
        }, Map.of(HealthCheck.NAME, "a"));
        commands.addCheck(new ContainersCheck(idle()), Map.of(HealthCheck.NAME, "b"));
        String text = commands.hc();
        assertTrue(text.startsWith("a: HEALTH_CHECK_ERROR\n") && text.contains("no disk") && text.contains("b: OK"),
            text);
    }
}
