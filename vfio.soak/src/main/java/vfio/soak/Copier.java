// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import vfio.api.EventFd;

/**
 * Copies, and interrupts in lockstep: one message, one signal, then the next. A transfer that ends with an interrupt
 * has all its bytes in memory when the signal comes.
 */
final class Copier extends Worker {
    private static final long NAP_NANOS = 100_000;

    private final Tenant tenant;
    private final EduDriver driver;
    private final Mover mover;
    private final EventFd eventFd;

    Copier(Tenant tenant, String name, EduDriver driver, EventFd eventFd, Referee referee, SplittableRandom random,
        int[] slots) {
        super("copier " + name, referee, random);
        this.tenant = tenant;
        this.driver = driver;
        this.eventFd = eventFd;
        this.mover = new Mover(tenant, driver, referee, random.split(), slots);
    }

    @Override
    void turn() throws InterruptedException {
        switch (random.nextInt(4)) {
            case 0 -> {
                expectNone();
                driver.raise();
                expectOne("raised");
                driver.acknowledge();
            }
            case 1 -> {
                mover.fetch();
                expectNone();
                mover.store(true);
                expectOne("sent after a transfer");
                mover.complete();
                mover.verify();
                driver.acknowledge();
            }
            default -> mover.copy();
        }
        LockSupport.parkNanos(NAP_NANOS);
    }

    @Override
    void finish() {
        expectNone();
        mover.verifyAll();
    }

    private void expectNone() {
        long early = eventFd.poll();
        if (early > 0) {
            referee.delivered.add(early);
            referee.duplicated.add(early);
            referee.fail("%s: %d signals that nothing was raised for", name(), early);
        }
    }

    private void expectOne(String how) throws InterruptedException {
        referee.raised.increment();
        long signals = eventFd.read(Referee.PATIENCE_SECONDS, TimeUnit.SECONDS);
        referee.delivered.add(signals);
        if (signals == 0) {
            referee.lost.increment();
            referee.fail("%s: a message was %s and has not arrived after %d s: %s, %s %s", name(), how,
                Referee.PATIENCE_SECONDS, tenant.container().state(), tenant.container().reason(),
                tenant.msis().routes());
        } else if (signals > 1) {
            referee.duplicated.add(signals - 1);
            referee.fail("%s: one message was %s and %d have arrived", name(), how, signals);
        }
    }
}
