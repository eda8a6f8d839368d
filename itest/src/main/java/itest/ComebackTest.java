// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.InterruptController;
import irq.api.InterruptRemapping;
import irq.api.MsiMessage;
import java.util.Hashtable;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Machines;
import machine.api.Mmio;
import machine.api.Node;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.framework.Constants;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import org.osgi.service.component.runtime.dto.ComponentDescriptionDTO;
import vfio.api.Vfio;

/**
 * An interrupt controller is there when what it needs is, whatever comes and goes at the same moment on another thread.
 */
@ExtendWith(Cleaned.class)
class ComebackTest {
    /** An address that is free on every board. */
    private static final long ELSEWHERE = 0x7f_0000_0000L;
    private static final int ROUNDS = 250;

    private final ExecutorService threads = Executors.newFixedThreadPool(2);
    private Bundle iommu;
    private Bundle apic;
    private ServiceRegistration<?> remapping;

    /** Stands in for a remapping unit: nothing is composed here. */
    private static final class Remapping implements InterruptRemapping {
        @Override
        public int allocate(int requester, int vector, int destination) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void release(int index) {
            throw new UnsupportedOperationException();
        }

        @Override
        public MsiMessage compose(int index) {
            throw new UnsupportedOperationException();
        }
    }

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        Framework.service(Machines.class).load(Framework.board("q35.dmar"), Map.of());
        Framework.service(Vfio.class);
        Framework.await("the controller", ComebackTest::there);
        iommu = Framework.bundle("iommu.vtd");
        apic = Framework.bundle("irq.apic");
        iommu.stop();
        remapping = remapping(0);
    }

    @AfterEach
    void unload() throws Exception {
        threads.shutdownNow();
        withdraw();
        iommu.start();
        Framework.service(Machines.class).unload();
    }

    @DisplayName("Remapping is replaced while irq.apic starts, at any moment of it: irq.apic is there afterwards")
    @Test
    void anyMoment() throws Exception {
        long seed = new SplittableRandom().nextLong();
        SplittableRandom random = new SplittableRandom(seed);
        CyclicBarrier barrier = new CyclicBarrier(2);
        for (int i = 0; i < ROUNDS; i++) {
            long late = random.nextLong(3_000_000);
            long away = random.nextBoolean() ? 0 : random.nextLong(60_000);
            Future<?> replacing = threads.submit(() -> {
                barrier.await();
                pass(late);
                remapping.unregister();
                pass(away);
                remapping = remapping(0);
                return null;
            });
            Future<?> starting = threads.submit(() -> {
                barrier.await();
                apic.stop();
                apic.start();
                return null;
            });
            replacing.get(Framework.seconds(30), TimeUnit.SECONDS);
            starting.get(Framework.seconds(30), TimeUnit.SECONDS);
            Framework.await("the controller, seed " + seed + ", round " + i, ComebackTest::there);
        }
    }

    @DisplayName("Its node goes while irq.apic is being built: what was built holds no core, and the next one can "
        + "have them")
    @Test
    void apicBeingBuilt() throws Exception {
        nodeGoesMeanwhile("intel,lapic", apic);
    }

    @DisplayName("Its node goes while irq.mpic is being built: what was built holds no core, and the next one can "
        + "have them")
    @Test
    void mpicBeingBuilt() throws Exception {
        Framework.service(Machines.class).unload();
        Framework.service(Machines.class).load(Framework.board("p4080.dtb"), Map.of());
        Framework.await("the controller", ComebackTest::there);
        nodeGoesMeanwhile("fsl,mpic", Framework.bundle("irq.mpic"));
    }

    /**
     * A driver prefers a node of ours, the same registers elsewhere, which another thread takes away as soon as the
     * driver reads one.
     */
    private void nodeGoesMeanwhile(String compatible, Bundle bundle) throws Exception {
        ServiceComponentRuntime components = Framework.service(ServiceComponentRuntime.class);
        ComponentDescriptionDTO driver = components.getComponentDescriptionDTO(bundle, bundle.getSymbolicName());
        components.disableComponent(driver).getValue();
        assertFalse(there());
        Node real = Framework.service(Machines.class).machine().orElseThrow().nodes().stream()
            .filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
        CompletableFuture<ServiceRegistration<Node>> ours = new CompletableFuture<>();
        AtomicReference<Future<?>> gone = new AtomicReference<>();
        Bus bus = Framework.service(Machines.class).machine().orElseThrow().bus();
        Node.Range there = real.registers().get(0);
        Attachment window = bus.attach(ELSEWHERE, there.size(), new Mmio() {
            @Override
            public long read(long offset, int size) {
                if (gone.get() == null) {
                    gone.set(threads.submit(() -> ours.join().unregister()));
                    // Declarative Services hears of it, and waits for us.
                    pass(100_000_000);
                }
                return bus.read(there.physical() + offset, size);
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                bus.write(requester, there.physical() + offset, size, value);
            }
        });
        Node passing = real.registers(new Node.Range(ELSEWHERE, there.size()));
        ours.complete(
            Framework.CONTEXT.registerService(Node.class, passing, new Hashtable<>(Map.of(Node.COMPATIBLE, compatible,
            Node.PATH, real.path(), Node.BUILT_IN, true, Node.READY, true, Constants.SERVICE_RANKING, 1000))));
        components.enableComponent(driver).getValue();
        gone.get().get(Framework.seconds(30), TimeUnit.SECONDS);
        Framework.await("the controller on the machine's node", ComebackTest::there);
        window.close();
    }

    @DisplayName("allow.unsafe.interrupts: a controller without remapping; each better remapping that comes makes it "
        + "another one")
    @Test
    void unsafe() throws Exception {
        withdraw();
        assertFalse(there());
        Configuration configuration = Framework.service(ConfigurationAdmin.class).getConfiguration("irq.apic", "?");
        configuration.update(new Hashtable<>(Map.of("allow.unsafe.interrupts", true)));
        try {
            Framework.await("a controller that verifies nobody", () -> there() && !verifies());
            remapping = remapping(0);
            assertTrue(verifies());
            InterruptController first = controller();
            ServiceRegistration<?> worse = remapping(-1);
            assertSame(first, controller());
            ServiceRegistration<?> better = remapping(1);
            assertNotSame(first, controller());
            better.unregister();
            worse.unregister();
            assertTrue(verifies());
            withdraw();
            assertTrue(there() && !verifies());
        } finally {
            configuration.delete();
        }
        Framework.await("no controller", () -> !there());
        remapping = remapping(0);
        Framework.await("the controller", ComebackTest::there);
    }

    private static ServiceRegistration<?> remapping(int ranking) {
        return Framework.CONTEXT.registerService(InterruptRemapping.class, new Remapping(),
            new Hashtable<>(Map.of(Constants.SERVICE_RANKING, ranking)));
    }

    private void withdraw() {
        if (remapping != null) {
            remapping.unregister();
            remapping = null;
        }
    }

    private static boolean there() {
        return controller() != null;
    }

    private static boolean verifies() {
        return controller().doorbells().verifiesSource();
    }

    private static InterruptController controller() {
        ServiceReference<InterruptController> reference = Framework.CONTEXT
            .getServiceReference(InterruptController.class);
        return reference == null ? null : Framework.CONTEXT.getService(reference);
    }

    /** Sleeping is too coarse here. */
    private static void pass(long nanos) {
        for (long begin = System.nanoTime(); System.nanoTime() - begin < nanos; ) {
            Thread.onSpinWait();
        }
    }
}
