// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import vfio.api.EventFd;

/**
 * Copies, and interrupts in bursts: of k messages at least one arrives after the last was sent, and at most k do. As
 * one that was kept may come when the next burst has begun, what is too many is counted over all bursts.
 */
final class Burster extends Worker {
    private static final int LARGEST = 16;
    private static final long NAP_NANOS = 200_000;
    private static final long SETTLE_MILLIS = 200;

    private final Tenant tenant;
    private final EduDriver driver;
    private final Mover mover;
    private final EventFd eventFd;
    private long sent;
    private long arrived;

    Burster(Tenant tenant, String name, EduDriver driver, EventFd eventFd, Referee referee, SplittableRandom random,
        int[] slots) {
        super("burster " + name, referee, random);
        this.tenant = tenant;
        this.driver = driver;
        this.eventFd = eventFd;
        this.mover = new Mover(tenant, driver, referee, random.split(), slots);
    }

    @Override
    void turn() throws InterruptedException {
        int burst = 1 + random.nextInt(LARGEST);
        take(eventFd.poll());
        for (int i = 0; i < burst; i++) {
            sent++;
            referee.raised.increment();
            driver.raise();
        }
        long signals = eventFd.read(Referee.PATIENCE_SECONDS, TimeUnit.SECONDS);
        take(signals);
        if (signals == 0) {
            referee.lost.increment();
            referee.fail("%s: %d messages were sent and none has arrived after %d s: %s, %s %s", name(), burst,
                Referee.PATIENCE_SECONDS, tenant.container().state(), tenant.container().reason(),
                tenant.msis().routes());
        }
        driver.acknowledge();
        mover.copy();
        LockSupport.parkNanos(NAP_NANOS);
    }

    @Override
    void finish() throws InterruptedException {
        Thread.sleep(SETTLE_MILLIS);
        take(eventFd.poll());
        mover.verifyAll();
    }

    private void take(long signals) {
        arrived += signals;
        referee.delivered.add(signals);
        if (arrived > sent) {
            referee.duplicated.add(arrived - sent);
            referee.fail("%s: %d messages were sent and %d have arrived", name(), sent, arrived);
            arrived = sent;
        }
    }
}
