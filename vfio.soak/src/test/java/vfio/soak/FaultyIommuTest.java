// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.DomainAttribute;
import iommu.api.Iommu;
import iommu.api.IommuDomain;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class FaultyIommuTest {
    private final List<String> reached = new ArrayList<>();

    /** Does nothing and remembers what it was asked. */
    private <T> T recorder(Class<T> type) {
        return type
            .cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, arguments) -> {
            reached.add(method.getName());
            return result(method);
        }));
    }

    private Object result(Method method) {
        return method.getName().equals("open") ? recorder(IommuDomain.class) : method.getReturnType() == long.class ? 0L
            : method.getReturnType() == boolean.class ? (Object) true : null;
    }

    private static void useAll(FaultyIommu iommu) {
        iommu.capabilities();
        iommu.reservedRegions(null);
        iommu.serves(null);
        IommuDomain domain = iommu.open();
        domain.set(null);
        domain.get(DomainAttribute.class);
        domain.map(0, null, 0, 0, 0);
        domain.lookup(0, 1);
        domain.mapDoorbell(0, 0, 0);
        domain.attach(null);
        domain.unmap(0, 0);
        domain.detach(null);
        domain.close();
    }

    private static final List<String> ALL = List.of("capabilities", "reservedRegions", "serves", "open", "set", "get",
        "map", "lookup", "mapDoorbell", "attach", "unmap", "detach", "close");

    @DisplayName("Each call of the contract fails in its turn and has not reached the real provider, unless it fails "
        + "when all is done; closing has")
    @Test
    void eachInTurn() {
        for (int at = 1; at <= ALL.size(); at++) {
            for (FaultyIommu.Fault fault : List.of(FaultyIommu.Fault.ERRNO, FaultyIommu.Fault.EXCEPTION,
                FaultyIommu.Fault.ERROR,
                    FaultyIommu.Fault.ERROR_WHEN_DONE)) {
                reached.clear();
                FaultyIommu iommu = new FaultyIommu(recorder(Iommu.class), fault, "", at, 0);
                Throwable thrown = null;
                try {
                    useAll(iommu);
                } catch (RuntimeException | Error e) {
                    thrown = e;
                }
                Class<?> expected = switch (fault) {
                    case ERRNO -> ErrnoException.class;
                    case EXCEPTION -> IllegalStateException.class;
                    case ERROR -> NoClassDefFoundError.class;
                    default -> OutOfMemoryError.class;
                };
                assertEquals(expected, thrown == null ? null : thrown.getClass());
                assertTrue(FaultyIommu.injected(thrown));
                assertTrue(FaultyIommu.injected(new IllegalStateException("wrapped", thrown)));
                assertEquals(ALL.get(at - 1), iommu.tripped());
                boolean done = at == ALL.size() || fault == FaultyIommu.Fault.ERROR_WHEN_DONE;
                List<String> calls = new ArrayList<>(ALL.subList(0, done ? at : at - 1));
                if (fault == FaultyIommu.Fault.ERROR_WHEN_DONE && ALL.get(at - 1).equals("open")) {
                    calls.add("close");
                }
                assertEquals(calls, reached);
            }
        }
    }

    @DisplayName("One that is late is so once and does what it was asked; one that never fails does not")
    @Test
    void late() {
        FaultyIommu late = new FaultyIommu(recorder(Iommu.class), FaultyIommu.Fault.LATE, "", 4, 20_000_000);
        long begin = System.nanoTime();
        useAll(late);
        assertTrue(System.nanoTime() - begin >= 20_000_000);
        assertEquals("open", late.tripped());
        assertEquals(ALL, reached);
        assertEquals(ALL.size(), late.calls());
        FaultyIommu sound = new FaultyIommu(recorder(Iommu.class), FaultyIommu.Fault.ERRNO, "", 0, 0);
        useAll(sound);
        assertNull(sound.tripped());
        assertFalse(FaultyIommu.injected(new IllegalStateException("of its own")));
    }

    @DisplayName("One that counts one method alone fails at its n-th call and at no other")
    @Test
    void oneMethod() {
        for (String method : FaultyIommu.OF_DOMAINS) {
            FaultyIommu iommu = new FaultyIommu(recorder(Iommu.class), FaultyIommu.Fault.ERRNO, method, 2, 0);
            useAll(iommu);
            assertNull(iommu.tripped());
            assertThrows(ErrnoException.class, () -> useAll(iommu));
            assertEquals(method, iommu.tripped());
        }
    }
}
