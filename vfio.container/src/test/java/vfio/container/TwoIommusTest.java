// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import java.util.List;
import java.util.Map;
import java.util.Set;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Unit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;

/**
 * Two IOMMUs of one type, each with a driver of its own: /iommu, in front of groups 1 and 2, and /iommu2, in front of
 * group 5.
 */
@Timeout(30)
class TwoIommusTest {
    private Board board;
    private FakeIommu second;

    private void board(String kind) {
        board = kind.equals("pamu") ? Board.pamu() : Board.type1();
        second = board.newIommu();
        second.serves = Set.of("/iommu2");
        board.machine.attach(Node.at("/iommu2"), new Unit(List.of(), Map.of("/iommu2", second), InterruptInputs.NONE));
        board.vfio.addFunction(board.function("0000:05:00.0", 0x51, 5, "/iommu2"));
    }

    private Container open(String name, int group) {
        Container container = board.vfio.openContainer(name);
        container.addGroup(board.vfio.group(group));
        return container;
    }

    @ParameterizedTest
    @DisplayName("two IOMMUs: SET_IOMMU takes the provider that serves the group; where none does EINVAL, with the "
        + "place and whose driver it is not")
    @ValueSource(strings = {"type1", "pamu"})
    void set(String kind) {
        board(kind);
        Container container = open("two", 5);
        ErrnoException e = refused(Errno.EINVAL, "requester 0x51 of group 5 sits behind /iommu2",
            () -> container.setIommu(kind));
        assertTrue(e.getMessage().contains(kind + ": "), e.getMessage());
        assertEquals(ContainerState.UNSET, container.state());
        assertEquals(0, board.iommu.opened.size());
        board.vfio.addIommu(second, kind, "the second", -1);
        container.setIommu(kind);
        assertEquals(Set.of(0x51), second.attached());
        open("one", 1).setIommu(kind);
        assertEquals(Set.of(0x11, 0x12), board.iommu.attached());
    }

    @ParameterizedTest
    @DisplayName("two IOMMUs: a group, or a device that is plugged, behind the other one is not attached: EINVAL, "
        + "nothing changed")
    @ValueSource(strings = {"type1", "pamu"})
    void attach(String kind) {
        board(kind);
        board.vfio.addIommu(second, kind, "the second", 1);
        Container container = open("one", 1);
        container.setIommu(kind);
        assertEquals(Set.of(0x11, 0x12), board.iommu.attached());
        String before = board.iommu.state();
        refused(Errno.EINVAL, "/iommu2", () -> container.addGroup(board.vfio.group(5)));
        refused(Errno.EINVAL, "/iommu2",
            () -> board.vfio.addFunction(board.function("0000:01:00.7", 0x17, 1, "/iommu2")));
        // By the id of one that is attached already, but behind the other.
        refused(Errno.EINVAL, "/iommu2",
            () -> board.vfio.addFunction(board.function("0001:01:00.0", 0x11, 1, "/iommu2")));
        assertEquals(before, board.iommu.state());
        assertEquals(1, container.groups().size());
        assertEquals(List.of("0000:01:00.0", "0000:01:00.1"), board.vfio.group(1).devices());
        assertEquals(0, second.opened.size());
        container.addGroup(board.vfio.group(2));
    }

    @ParameterizedTest
    @DisplayName("two IOMMUs: when its own leaves a container is BLOCKED though the other is there, and says why; "
        + "its own restores it")
    @ValueSource(strings = {"type1", "pamu"})
    void restore(String kind) {
        board(kind);
        board.vfio.addIommu(second, kind, "the second", 1);
        Container container = open("one", 1);
        container.setIommu(kind);
        board.vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.BLOCKED, container.state());
        String reason = container.reason();
        assertTrue(reason.contains("the provider of " + kind + " is gone")
            && reason.contains("the second: requester 0x11 of group 1 sits behind /iommu, which this IOMMU's provider "
            + "does not drive"), reason);
        refused(Errno.EINVAL, "the second: requester 0x11", container.as(Backends.class)::retry);
        board.vfio.removeIommu(second);
        board.vfio.addIommu(second, kind, "the second", 1);
        assertEquals(reason, container.reason(), "said once");
        assertEquals(0, second.opened.size());
        assertEquals(List.of(), board.vfio.as(Swaps.class).latest(), "nobody has tried to take over");
        board.vfio.addIommu(board.iommu, kind, "the first", 0);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(Set.of(0x11, 0x12), board.iommu.attached());
    }

    @ParameterizedTest
    @DisplayName("two IOMMUs: a move goes to another provider of the same hardware, never to that of the other IOMMU")
    @ValueSource(strings = {"type1", "pamu"})
    void move(String kind) {
        board(kind);
        board.vfio.addIommu(second, kind, "the second", 1);
        Container container = open("one", 1);
        container.setIommu(kind);
        assertEquals(kind, container.as(Backends.class).swap(kind).to(), "its own is the only one there is for it");
        FakeIommu third = board.newIommu();
        board.vfio.addIommu(third, kind, "the third", 0);
        assertEquals("the third", container.as(Backends.class).swap(kind).to());
        assertEquals(Set.of(0x11, 0x12), third.attached());
        third.serves = Set.of();
        board.iommu.serves = Set.of();
        refused(Errno.EINVAL, "requester 0x11", () -> container.as(Backends.class).swap(kind));
        assertEquals(Set.of(0x11, 0x12), third.attached());
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @ParameterizedTest
    @DisplayName("one IOMMU of two units: one id behind each is two requesters; both are attached, and the one stays "
        + "when the other leaves")
    @ValueSource(strings = {"type1", "pamu"})
    void namesakes(String kind) {
        board(kind);
        board.iommu.serves = Set.of("/iommu", "/iommu2");
        board.vfio.addFunction(board.function("0001:01:00.0", 0x11, 7, "/iommu2"));
        Container container = open("one", 1);
        container.setIommu(kind);
        Requester here = new Requester(0x11, "/iommu", 1);
        Requester there = new Requester(0x11, "/iommu2", 7);
        assertFalse(board.iommu.domains.containsKey(there));
        container.addGroup(board.vfio.group(7));
        assertTrue(board.iommu.domains.containsKey(here) && board.iommu.domains.containsKey(there));
        FakeIommu next = board.newIommu();
        next.serves = board.iommu.serves;
        board.vfio.addIommu(next, kind, "the next", 0);
        container.as(Backends.class).swap(kind);
        assertTrue(next.domains.containsKey(here) && next.domains.containsKey(there));
        container.removeGroup(board.vfio.group(7));
        assertTrue(next.domains.containsKey(here));
        assertFalse(next.domains.containsKey(there));
    }
}
