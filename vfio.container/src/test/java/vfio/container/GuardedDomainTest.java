// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.refused;

import iommu.api.Enable;
import iommu.api.Iommu;
import iommu.api.IommuDomain;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.function.Supplier;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.ContainerState;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;

/**
 * What comes out of a provider and is not in its contract: the ledger is right, and the tables are made to say what it
 * does.
 */
class GuardedDomainTest {
    private static final long BANK = 488 * MB;
    private static final List<Supplier<Throwable>> THROWN = List.of(
        () -> new NoClassDefFoundError("a class that is gone"), () -> new OutOfMemoryError("a test's"),
        () -> new IllegalStateException("a mistake"));

    private final Board board = Board.pamu();
    private final VfioService vfio = board.vfio;
    private final DmaBuffer memory = board.memory(8 * MB);
    private final VfioContainer container = board.container();
    /** The call that fails, at which time it is made, and whether what it was asked is done before. */
    private String failing = "";
    private int countdown;
    private boolean done;
    private Supplier<Throwable> thrown;

    @BeforeEach
    void provider() {
        Iommu real = board.iommu;
        vfio.removeIommu(real);
        vfio.addIommu((Iommu) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Iommu.class},
            (self, method, arguments) -> {
            Object result = call(() -> method.invoke(real, arguments));
            return result instanceof IommuDomain domain ? guarded(domain) : result;
        }), "pamu");
        container.map(0, memory, 0, 0x1000, Access.READ_WRITE);
        container.map(8 * MB, memory, 0x1000, 0x1000, Access.READ);
        container.map(16 * MB, memory, 0x2000, 0x1000, Access.WRITE);
        container.as(Msis.class).call("MAP", 1, BANK);
    }

    private IommuDomain guarded(IommuDomain domain) {
        return (IommuDomain) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {IommuDomain.class},
            (self, method, arguments) -> {
                boolean now = method.getName().equals(failing) && --countdown == 0;
                if (now && !done) {
                    throw thrown.get();
                }
                Object result = call(() -> method.invoke(domain, arguments));
                if (now) {
                    throw thrown.get();
                }
                return result;
            });
    }

    private interface Call {
        Object run() throws ReflectiveOperationException;
    }

    private static Object call(Call call) throws Throwable {
        try {
            return call.run();
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** However it fails: EIO with the cause, tables and ledger as before, and the container works. */
    private void changesNothing(String call, int at, Executable operation) {
        for (boolean when : new boolean[] {false, true}) {
            for (Supplier<Throwable> what : THROWN) {
                String tables = board.iommu.state();
                String ledger = ledger();
                failing = call;
                countdown = at;
                done = when;
                Throwable[] cause = new Throwable[1];
                thrown = () -> cause[0] = what.get();
                ErrnoException e = refused(Errno.EIO, call + " of pamu has thrown", operation);
                assertSame(cause[0], e.getCause());
                failing = "";
                assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
                assertEquals("", container.reason());
                assertEquals(tables, board.iommu.state(), call + ", " + e);
                assertEquals(ledger, ledger());
                assertEquals(0, board.portA.write(0x100, 4, 1));
                assertEquals(Refusal.DENIED, board.portA.write(8 * MB, 4, 1));
            }
        }
    }

    private String ledger() {
        return container.mappings() + " " + container.as(Msis.class).placements() + " " + container.groups();
    }

    @Test
    @DisplayName("P1, P6: whatever a provider throws, before or after its work, has changed nothing: neither tables "
        + "nor ledger")
    void eachCall() {
        DmaBuffer fresh = board.memory(0x1000);
        changesNothing("map", 1, () -> container.map(24 * MB, fresh, 0, 0x1000, Access.READ_WRITE));
        for (int piece = 1; piece <= 3; piece++) {
            changesNothing("unmap", piece, () -> container.unmap(0, 24 * MB));
        }
        changesNothing("set", 1, () -> container.set(new Enable(false)));
        changesNothing("mapDoorbell", 1, () -> container.as(Msis.class).call("MAP", 0, 32 * MB));
        changesNothing("unmap", 1, () -> container.as(Msis.class).call("UNMAP", BANK));
        changesNothing("attach", 1, () -> container.addGroup(vfio.group(2)));
        container.addGroup(vfio.group(2));
        changesNothing("detach", 1, () -> container.removeGroup(vfio.group(2)));
        container.removeGroup(vfio.group(2));
        assertEquals(0x3000, container.unmap(0, 24 * MB));
    }

    @Test
    @DisplayName("P1: memory of a map that has failed halfway goes back when the tables that may lead to it are "
        + "gone, not before")
    void memoryInDoubt() {
        long available = board.machine.memory().available();
        DmaBuffer fresh = board.memory(0x1000);
        failing = "map";
        countdown = 1;
        done = true;
        long[] whileClosing = new long[1];
        board.iommu.closed = () -> whileClosing[0] = board.machine.memory().available();
        // Its owner gives it up at the worst moment: while the call fails.
        thrown = () -> {
            fresh.close();
            return new OutOfMemoryError("a test's");
        };
        refused(Errno.EIO, () -> container.map(24 * MB, fresh, 0, 0x1000, Access.READ_WRITE));
        assertEquals(available - 0x1000, whileClosing[0], "the tables still led there");
        assertEquals(available, board.machine.memory().available());
    }

    @Test
    @DisplayName("P1: a group of which one device cannot be attached, nor the other detached again: the tables are "
        + "made anew without it")
    void cannotLetGo() {
        vfio.addFunction(board.function("0000:02:00.1", 0x22, 2));
        String tables = board.iommu.state();
        failing = "attach";
        countdown = 2;
        thrown = () -> {
            failing = "detach";
            countdown = 1;
            thrown = () -> new ErrnoException(Errno.EIO, "it does not let go");
            return new ErrnoException(Errno.ENOSPC, "no room for a second");
        };
        ErrnoException e = refused(Errno.ENOSPC, "no room", () -> container.addGroup(vfio.group(2)));
        assertEquals(1, e.getSuppressed().length);
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        assertEquals(tables, board.iommu.state());
        assertEquals(0, board.portA.write(0x100, 4, 1));
    }

    @Test
    @DisplayName("P1, P3: an unmap fails and what it left cannot be read: the tables are made anew with all of it")
    void cannotRead() {
        String tables = board.iommu.state();
        failing = "unmap";
        countdown = 1;
        done = true;
        thrown = () -> {
            failing = "lookup";
            thrown = THROWN.get(2);
            countdown = 1;
            return new ErrnoException(Errno.ETIMEDOUT, "in flight");
        };
        refused(Errno.ETIMEDOUT, "in flight", () -> container.unmap(0, 0x1000));
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        assertEquals(tables, board.iommu.state());
        assertEquals(0, board.portA.write(0x100, 4, 1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"lookup", "get"})
    @DisplayName("a question that fails is EIO with the cause, and nothing is made anew for it")
    void questions(String call) {
        failing = call;
        countdown = 1;
        thrown = THROWN.get(0);
        int swaps = vfio.as(Swaps.class).latest().size();
        refused(Errno.EIO, call, () -> {
            if (call.equals("lookup")) {
                container.lookup(0, Access.READ);
            } else {
                container.get(Enable.class);
            }
        });
        assertEquals(swaps, vfio.as(Swaps.class).latest().size());
    }

    @Test
    @DisplayName("P2, P3: where the tables cannot be made anew, the container is BLOCKED with both reasons, and a "
        + "retry brings it back")
    void blocked() {
        String tables = board.iommu.state();
        String ledger = ledger();
        failing = "unmap";
        countdown = 2;
        thrown = THROWN.get(0);
        board.iommu.closed = () -> {
            board.iommu.closed = () -> {
            };
            failing = "map";
            countdown = 1;
        };
        refused(Errno.EIO, () -> container.unmap(0, 24 * MB));
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(
            container.reason().contains("could not take over") && container.reason().contains("a class that is gone"),
            container.reason());
        assertEquals(Refusal.BLOCKED, board.portA.write(0x100, 4, 1));
        container.as(Backends.class).retry();
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(tables, board.iommu.state());
        assertEquals(ledger, ledger());
    }
}
