// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import iommu.api.Enable;
import iommu.api.IommuType;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.DmaFlags;
import vfio.api.Group;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.msi.Msis;
import vfio.container.host.ContainerLimits;
import vfio.container.irq.LocalEventFd;

@Timeout(30)
class LifeCycleTest {
    private static final String A = "0000:01:00.0";
    private final Board board = Board.type1();
    private final VfioService vfio = board.vfio;
    private final Group group = vfio.group(1);

    // Container

    @Test
    @DisplayName("CHECK_EXTENSION: no IOMMU set: any provider counts; set: only that one")
    void extension() {
        Container container = vfio.openContainer("one");
        vfio.addIommu(new FakeIommu(true, board.bus, board.trip), "pamu");
        assertTrue(container.checkExtension("type1"));
        assertTrue(container.checkExtension("type1v2"));
        assertTrue(container.checkExtension("pamu"));
        assertFalse(container.checkExtension("spapr"));
        container.addGroup(group);
        container.setIommu("type1v2");
        assertTrue(container.checkExtension("type1v2"));
        assertFalse(container.checkExtension("pamu"));
        assertEquals(List.of("type1v2", "type1", "pamu"), vfio.iommuTypes());
    }

    @Test
    @DisplayName("SET_IOMMU: no group attached: EINVAL")
    void noGroup() {
        refused(Errno.EINVAL, "add one", () -> vfio.openContainer("one").setIommu("type1"));
    }

    @Test
    @DisplayName("SET_IOMMU: already set: EINVAL")
    void twice() {
        Container container = board.container();
        refused(Errno.EINVAL, "type1", () -> container.setIommu("type1"));
    }

    @Test
    @DisplayName("SET_IOMMU: no driver claims the id: ENODEV")
    void noDriver() {
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        refused(Errno.ENODEV, "[type1v2, type1]", () -> container.setIommu("pamu"));
        assertEquals(Optional.empty(), container.iommu());
        assertEquals(Optional.empty(), container.iommuKind());
    }

    @Test
    @DisplayName("SET_IOMMU: the type's rules are the provider's capabilities', whatever its name")
    void typesOfAnotherName() {
        IommuType whole = new IommuType("smmuv2", IommuType.Unmap.WHOLE_MAPPINGS, false, false, false);
        FakeIommu smmu = new FakeIommu(false, board.bus, board.trip);
        smmu.types = List.of(whole);
        vfio.addIommu(smmu, "smmu", "the smmu", 0);
        Container container = vfio.openContainer("one");
        assertTrue(container.checkExtension("smmuv2"));
        container.addGroup(group);
        container.setIommu("smmuv2");
        assertEquals(Optional.of("smmuv2"), container.iommu());
        assertEquals(Optional.of("smmu"), container.iommuKind());
        assertFalse(container.checkExtension(Container.UNMAP_ALL));
        assertFalse(container.checkExtension(Container.UPDATE_VADDR));
        container.map(0, board.memory(0x4000), 0, 0x4000, Access.READ);
        refused(Errno.EINVAL, "cut the mapping 0x0..0x3fff", () -> container.unmap(0, 0x1000));
        refused(Errno.EINVAL, "type smmuv2 has 0x0", () -> container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
        refused(Errno.ENOTTY, "smmuv2", () -> container.dirtyPages(DmaFlags.DIRTY_START, 0, 0, null));
    }

    @Test
    @DisplayName("SET_IOMMU: a provider that announces a type its capabilities lack: EINVAL, nothing is set")
    void announcedAlone() {
        vfio.addIommu(new FakeIommu(false, board.bus, board.trip), "smmu", List.of("smmuv2"), "the smmu", 0);
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        refused(Errno.EINVAL, "no type smmuv2 but [type1v2, type1]", () -> container.setIommu("smmuv2"));
        assertEquals(Optional.empty(), container.iommu());
        assertThrows(IllegalArgumentException.class,
            () -> vfio.addIommu(board.newIommu(), "smmu", List.of(), "none", 0));
    }

    @Test
    @DisplayName("a provider of another kind that offers the type takes over from one that leaves")
    void anotherKind() {
        Container container = board.container();
        FakeIommu smmu = new FakeIommu(false, board.bus, board.trip);
        vfio.addIommu(smmu, "smmu", "the smmu", -1);
        vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(Optional.of("smmu"), container.iommuKind());
        vfio.removeIommu(smmu);
        assertEquals(Optional.empty(), container.iommuKind());
    }

    @Test
    @DisplayName("SET_IOMMU: open() or attach of a group fails: its errno, and the container stays unset")
    void driverFails() {
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        String before = board.iommu.state();
        for (int call = 1; call <= 3; call++) {
            board.trip.at(call);
            refused(Errno.EIO, () -> container.setIommu("type1"));
            assertTrue(board.trip.happened());
            assertEquals(before, board.iommu.state());
            assertEquals(ContainerState.UNSET, container.state());
            assertEquals(Optional.empty(), container.iommu());
        }
        board.trip.at(0);
        container.setIommu("type1");
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @Test
    @DisplayName("SET_IOMMU: all attached groups are attached to the driver")
    void attachesAll() {
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        container.addGroup(vfio.group(2));
        container.setIommu("type1");
        assertEquals(Set.of(0x11, 0x12, 0x21), board.iommu.attached());
    }

    @Test
    @DisplayName("any other operation without an IOMMU: EINVAL")
    void unset() {
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        DmaBuffer memory = board.memory(0x1000);
        refused(Errno.EINVAL, "set one first", container::info);
        refused(Errno.EINVAL, () -> container.map(0, memory, 0, 0x1000, Access.READ));
        refused(Errno.EINVAL, () -> container.unmap(0, 0x1000));
        refused(Errno.EINVAL, () -> container.set(new Enable(true)));
        refused(Errno.EINVAL, () -> container.get(Enable.class));
        refused(Errno.EINVAL, () -> container.as(Msis.class).call("MAP", 0, 0));
        assertEquals(Refusal.BLOCKED, container.lookup(0, Access.READ));
        assertEquals(List.of(), container.reserved());
    }

    @Test
    @DisplayName("last group leaves: IOMMU released, mappings dropped, container unset; SET_IOMMU works again")
    void lastGroupLeaves() {
        Container container = board.container();
        container.addGroup(vfio.group(2));
        long available = board.machine.memory().available();
        DmaBuffer memory = board.memory(0x1000);
        container.map(0x1000, memory, 0, 0x1000, Access.READ);
        memory.close();
        container.removeGroup(group);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(1, container.mappings().size());
        assertEquals(Set.of(0x21), board.iommu.attached());
        container.removeGroup(vfio.group(2));
        assertEquals(ContainerState.UNSET, container.state());
        assertEquals(Optional.empty(), container.iommu());
        assertEquals(List.of(), container.mappings());
        assertEquals(Set.of(), board.iommu.opened);
        assertEquals(available, board.machine.memory().available());
        container.addGroup(group);
        container.setIommu("type1v2");
        assertEquals(Optional.of("type1v2"), container.iommu());
    }

    @Test
    @DisplayName("last group leaves: memory that cannot be given back is reported, and the container is unset all the "
        + "same")
    void memoryThrows() {
        Container container = board.container();
        DmaBuffer memory = board.memory(0x1000);
        DmaBuffer stubborn = (DmaBuffer) Proxy.newProxyInstance(getClass().getClassLoader(),
            new Class<?>[] {DmaBuffer.class}, (proxy, method, arguments) -> {
                if (method.getName().equals("release")) {
                    throw new IllegalStateException("not given back");
                }
                return method.invoke(memory, arguments);
            });
        container.map(0x1000, stubborn, 0, 0x1000, Access.READ);
        IllegalStateException said =
            assertThrows(IllegalStateException.class, () -> container.removeGroup(group));
        assertEquals("not given back", said.getMessage());
        assertEquals(ContainerState.UNSET, container.state());
        assertEquals(Optional.empty(), container.iommu());
        container.addGroup(group);
        container.setIommu("type1v2");
        assertEquals(List.of(), container.mappings());
        container.map(0x1000, stubborn, 0, 0x1000, Access.READ);
        assertThrows(IllegalStateException.class, container::close);
        assertEquals(ContainerState.CLOSED, container.state());
        assertEquals("container one", container.toString());
    }

    @Test
    @DisplayName("a container's name is unique while it is open; a closed one refuses everything")
    void names() {
        Container container = vfio.openContainer("one");
        refused(Errno.EEXIST, "one", () -> vfio.openContainer("one"));
        container.close();
        container.close();
        assertEquals(ContainerState.CLOSED, container.state());
        refused(Errno.EINVAL, "closed", () -> container.addGroup(group));
        refused(Errno.EINVAL, "closed", () -> container.setIommu("type1"));
        refused(Errno.EINVAL, "closed", () -> container.unmap(0, 0x1000));
        refused(Errno.EINVAL, "closed", () -> container.as(Msis.class).strategy(""));
        vfio.openContainer("one");
        assertEquals(1, vfio.containers().size());
    }

    @Test
    @DisplayName("close: devices closed, groups given back, memory let go, devices blocked")
    void close() {
        Container container = board.container();
        long available = board.machine.memory().available();
        DmaBuffer memory = board.memory(0x1000);
        container.map(0, memory, 0, 0x1000, Access.READ_WRITE);
        memory.close();
        Device device = group.device(A);
        assertEquals(0, board.portA.write(0x10, 4, 1));
        container.close();
        refused(Errno.ENODEV, () -> device.read(Region.CONFIG, 0, 4));
        assertEquals(Optional.empty(), group.container());
        assertEquals(available, board.machine.memory().available());
        assertEquals(Refusal.NO_REQUESTER, board.portA.write(0x10, 4, 1));
        assertEquals(List.of(), vfio.containers());
    }

    @Test
    @DisplayName("close: a domain that cannot be closed keeps its memory: devices may still reach it")
    void closeFails() {
        Container container = board.container();
        DmaBuffer memory = board.memory(0x1000);
        long available = board.machine.memory().available();
        container.map(0, memory, 0, 0x1000, Access.READ_WRITE);
        memory.close();
        board.trip.at(1);
        refused(Errno.EIO, container::close);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(available, board.machine.memory().available());
        board.trip.at(1);
        refused(Errno.EIO, () -> container.removeGroup(group));
        assertEquals(1, container.mappings().size());
        assertEquals(Optional.of(container), group.container());
        container.close();
        assertEquals(available + 0x1000, board.machine.memory().available());
    }

    // Group

    @Test
    @DisplayName("GET_STATUS: viable, container set")
    void status() {
        assertEquals(new Group.Status(true, false), group.status());
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        assertEquals(new Group.Status(true, true), group.status());
        vfio.removeFunction(board.a);
        vfio.removeFunction(board.b);
        assertEquals(new Group.Status(false, true), group.status());
        container.removeGroup(group);
        refused(Errno.ENOENT, "[2]", () -> vfio.group(1));
    }

    @Test
    @DisplayName("SET_CONTAINER: in another container: EBUSY, naming it; in this one: EINVAL (4.1); not a group of "
        + "ours: IllegalArgument")
    void setContainer() {
        Container one = vfio.openContainer("one");
        one.addGroup(group);
        refused(Errno.EBUSY, "container one", () -> vfio.openContainer("two").addGroup(group));
        refused(Errno.EINVAL, "container one already", () -> one.addGroup(group));
        Group alien = (Group) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Group.class},
            (proxy, method, arguments) -> "alien");
        assertThrows(IllegalArgumentException.class, () -> one.addGroup(alien));
    }

    @Test
    @DisplayName("SET_CONTAINER: container has an IOMMU set and attach fails: driver errno, the group stays out")
    void attachFails() {
        Container container = board.container();
        vfio.addFunction(board.function("0000:02:00.1", 0x22, 2));
        String before = board.iommu.state();
        for (int call = 1; call <= 2; call++) {
            board.trip.at(call);
            refused(Errno.EIO, () -> container.addGroup(vfio.group(2)));
            assertTrue(board.trip.happened());
            assertEquals(before, board.iommu.state());
            assertEquals(List.of(group), container.groups());
            assertEquals(Optional.empty(), vfio.group(2).container());
        }
    }

    @Test
    @DisplayName("UNSET_CONTAINER: not in one: EINVAL; device fds still open: EBUSY")
    void unsetContainer() {
        Container container = board.container();
        refused(Errno.EINVAL, () -> container.removeGroup(vfio.group(2)));
        Device device = group.device(A);
        refused(Errno.EBUSY, A, () -> container.removeGroup(group));
        device.close();
        container.removeGroup(group);
        refused(Errno.EINVAL, () -> container.removeGroup(group));
    }

    @Test
    @DisplayName("UNSET_CONTAINER: a detach that fails changes nothing")
    void detachFails() {
        Container container = board.container();
        container.addGroup(vfio.group(2));
        String before = board.iommu.state();
        board.trip.at(2);
        refused(Errno.EIO, () -> container.removeGroup(group));
        assertEquals(before, board.iommu.state());
        assertEquals(Optional.of(container), group.container());
        assertEquals(2, container.groups().size());
    }

    @Test
    @DisplayName("GET_DEVICE_FD: name not in group: ENODEV; no container or no IOMMU set: EINVAL; open: EBUSY")
    void deviceFd() {
        refused(Errno.ENODEV, A, () -> group.device("0000:02:00.0"));
        refused(Errno.EINVAL, "Add the group", () -> group.device(A));
        Container container = vfio.openContainer("one");
        container.addGroup(group);
        refused(Errno.EINVAL, "set the IOMMU", () -> group.device(A));
        container.setIommu("type1");
        Device device = group.device(A);
        refused(Errno.EBUSY, A, () -> group.device(A));
        device.close();
        device.close();
        group.device(A).close();
        assertEquals(group, vfio.groupOf(A));
        refused(Errno.ENODEV, "none", () -> vfio.groupOf("none"));
    }

    // Hot-plug

    @Test
    @DisplayName("hot-plug: a device added to a live group is attached; one that leaves is blocked")
    void plug() {
        Container container = board.container();
        FakeFunction late = board.function("0000:01:00.2", 0x13, 1);
        vfio.addFunction(late);
        assertTrue(board.iommu.attached().contains(0x13));
        assertEquals(List.of(0x11, 0x12, 0x13), group.requesters());
        vfio.removeFunction(late);
        assertFalse(board.iommu.attached().contains(0x13));
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @Test
    @DisplayName("hot-plug: with the last device gone nothing is reached: a look-up is refused though the domain has "
        + "the mapping")
    void allUnplugged() {
        Container container = board.container();
        DmaBuffer memory = board.memory(0x1000);
        container.map(0, memory, 0, 0x1000, Access.READ);
        assertEquals(memory.physical(0), container.lookup(0, Access.READ));
        vfio.removeFunction(board.a);
        vfio.removeFunction(board.b);
        assertEquals(Refusal.BLOCKED, container.lookup(0, Access.READ));
        vfio.addFunction(board.a);
        assertEquals(memory.physical(0), container.lookup(0, Access.READ));
    }

    @Test
    @DisplayName("hot-plug: a device that cannot be attached stays out and blocked")
    void plugFails() {
        board.container();
        FakeFunction late = board.function("0000:01:00.2", 0x13, 1);
        board.trip.at(1);
        refused(Errno.EIO, () -> vfio.addFunction(late));
        assertEquals(2, group.devices().size());
        assertFalse(board.iommu.attached().contains(0x13));
        vfio.addFunction(late);
        refused(Errno.EEXIST, "0000:01:00.2", () -> vfio.addFunction(board.function("0000:01:00.2", 0x14, 1)));
        assertEquals(List.of(0x11, 0x12, 0x13), group.requesters());
    }

    @Test
    @DisplayName("removal of an open device: REQ is signalled, the device closed, the group stays")
    void surprise() {
        board.container();
        Device device = group.device(A);
        LocalEventFd request = new LocalEventFd(0);
        device.setIrqs(IrqSet.eventFds(Irq.REQ, 0, request));
        board.vfio.containers().get(0).as(Msis.class).call("MAP", 0, 0x50000);
        device.setIrqs(Board.msi(new LocalEventFd(0)));
        vfio.removeFunction(board.a);
        assertEquals(1, request.poll());
        refused(Errno.ENODEV, () -> device.read(Region.CONFIG, 0, 4));
        refused(Errno.ENODEV, () -> device.setIrqs(IrqSet.disable(Irq.MSI)));
        assertEquals(List.of("0000:01:00.1"), group.devices());
        assertFalse(board.iommu.attached().contains(0x11));
        assertEquals(0, board.controller.used());
    }

    @Test
    @DisplayName("removal of an open device that does not answer any more: nothing of it stays behind")
    void dead() {
        board.container();
        Device device = group.device(A);
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, new LocalEventFd(0)));
        board.a.gone = true;
        assertThrows(IllegalStateException.class, () -> vfio.removeFunction(board.a));
        assertEquals(List.of("0000:01:00.1"), group.devices());
        assertFalse(board.iommu.attached().contains(0x11));
        assertEquals(0, board.controller.handlers());
        device.close();
    }

    @Test
    @DisplayName("a provider without a kind is refused; a limit of no mappings too")
    void misuse() {
        assertThrows(IllegalArgumentException.class, () -> vfio.addIommu(board.newIommu(), null));
        assertThrows(IllegalArgumentException.class, () -> Board.settings(0, 0));
        assertThrows(IllegalArgumentException.class, () -> Board.settings(1, -1));
        assertEquals(0, Board.settings(1, 0).lockedMemoryLimit());
        for (long[] millis : new long[][] {{-1, 1}, {0, 0}, {0, -1}}) {
            assertThrows(IllegalArgumentException.class,
                () -> new ContainerLimits(1, 0, true, Duration.ofMillis(millis[0]), Duration.ofMillis(millis[1])));
        }
    }

    @Test
    @DisplayName("a service that is closed listens to no fault and no wire any more")
    void deaf() {
        FakeIommu wired = board.newIommu();
        wired.wires.add(new Wire(FakeController.PATH, 24, true, "24"));
        vfio.addIommu(wired, "type1");
        assertEquals(1, board.controller.handlers());
        board.portA.write(0, 4, 1);
        assertEquals(1, vfio.faultCount());
        vfio.close();
        board.portA.write(0, 4, 1);
        assertEquals(1, vfio.faultCount());
        assertEquals(0, board.controller.handlers());
    }

    @Test
    @DisplayName("closing the service closes every container, whatever the first one's provider throws")
    void closeService() {
        Container one = board.container();
        Container two = board.container("two", 2);
        board.trip.at(1);
        assertThrows(ErrnoException.class, vfio::close);
        assertEquals(ContainerState.ACTIVE, one.state());
        assertEquals(ContainerState.CLOSED, two.state());
    }
}
