// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.container.Board.refused;

import iommu.api.IommuDomain;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.TreeMap;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Mapping;
import vfio.container.dma.RestorePlan;

/** A mapping of three pages, scattered, is read back. */
class RestorePlanTest {
    private static final long IOVA = 0x5000;

    private final DmaBuffer memory = Board.type1().scattered(0x4000);
    /** What some addresses lead to, other than they should. */
    private final Map<Long, Long> wrong = new TreeMap<>();
    private int access = Access.READ_WRITE;
    private int allowed = Access.READ_WRITE;

    private long lookup(long iova, int wanted) {
        if ((allowed & wanted) == 0) {
            return Refusal.DENIED;
        }
        return wrong.getOrDefault(iova, memory.physical(0x1000 + iova - IOVA));
    }

    private void verify() {
        IommuDomain domain = (IommuDomain) Proxy.newProxyInstance(getClass().getClassLoader(),
            new Class<?>[] {IommuDomain.class}, (self, method, arguments) -> {
                assertEquals("lookup", method.getName());
                return lookup((long) arguments[0], (int) arguments[1]);
            });
        RestorePlan.verify(domain, new Mapping(IOVA, memory, 0x1000, 0x3000, access));
    }

    @Test
    @DisplayName("P4: read back: the first byte of each piece of memory and the last of all; for reads and for "
        + "writes, allowed or not")
    void pages() {
        verify();
        for (long at : new long[] {0, 0x1000, 0x2000, 0x2fff}) {
            wrong.put(IOVA + at, 0x1234L);
            refused(Errno.EIO, String.format("a R at iova 0x%x was restored to 0x1234, not to 0x%x", IOVA + at,
                memory.physical(0x1000 + at)), this::verify);
            wrong.put(IOVA + at, (long) Refusal.UNMAPPED);
            refused(Errno.EIO, String.format("iova 0x%x", IOVA + at), this::verify);
            wrong.clear();
        }
    }

    @Test
    @DisplayName("P4, P1: read back: what was not allowed is not now, and what was is")
    void accesses() {
        for (int wanted = Access.READ; wanted <= Access.READ_WRITE; wanted++) {
            for (int given = 0; given <= Access.READ_WRITE; given++) {
                access = wanted;
                allowed = given;
                if (wanted == given) {
                    verify();
                } else {
                    refused(Errno.EIO, "at iova 0x5000", this::verify);
                }
            }
        }
    }
}
