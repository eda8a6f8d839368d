// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;

/**
 * A device that interrupts by its pin: a level, which is masked when it has fired. Asserted while no controller is
 * there, it fires when one is; once it has fired it is still until it is unmasked, and then fires again only if it is
 * still asserted.
 */
final class IntxWorker extends Worker {
    private static final long NAP_NANOS = 500_000;

    private final Tenant tenant;
    private final Device device;
    private final EduDriver driver;
    private final EventFd eventFd;

    IntxWorker(Tenant tenant, Device device, EduDriver driver, EventFd eventFd, Referee referee,
        SplittableRandom random) {
        super("pin " + device.name(), referee, random);
        this.tenant = tenant;
        this.device = device;
        this.driver = driver;
        this.eventFd = eventFd;
    }

    @Override
    void turn() throws InterruptedException {
        driver.raise();
        expectOne("raised");
        if (random.nextInt(4) == 0) {
            unmask();
            expectOne("unmasked while asserted");
        }
        driver.acknowledge();
        unmask();
        LockSupport.parkNanos(random.nextLong(NAP_NANOS));
        long early = eventFd.poll();
        if (early > 0) {
            referee.fail("%s: the pin is not asserted and has fired %d times", name(), early);
        }
    }

    private void unmask() {
        device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
    }

    private void expectOne(String how) throws InterruptedException {
        long signals = eventFd.read(Referee.PATIENCE_SECONDS, TimeUnit.SECONDS);
        referee.pins.increment();
        if (signals != 1) {
            referee.fail("%s: the pin was %s and has fired %d times within %d s; %s", name(), how, signals,
                Referee.PATIENCE_SECONDS, tenant.container().reason());
        }
    }
}
