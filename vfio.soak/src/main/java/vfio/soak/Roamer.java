// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.locks.LockSupport;

/**
 * A rogue device: reads and writes where nothing was ever mapped for it, outside the aperture, at other containers'
 * addresses, at MSI banks that only take messages, and at memory that comes and goes.
 */
final class Roamer extends Worker {
    private static final long NAP_NANOS = 300_000;

    private final Tenant tenant;
    private final List<Tenant> all;
    private final EduDriver driver;

    Roamer(Tenant tenant, List<Tenant> all, String name, EduDriver driver, Referee referee, SplittableRandom random) {
        super("roamer " + name, referee, random);
        this.tenant = tenant;
        this.all = all;
        this.driver = driver;
    }

    @Override
    void turn() {
        Layout layout = tenant.layout();
        int bytes = 1 + random.nextInt(EduDriver.BUFFER_SIZE);
        boolean write = random.nextBoolean();
        switch (random.nextInt(6)) {
            case 0, 1 -> access(layout.iova(layout.firstChurn() + random.nextInt(layout.churn())) + within(bytes),
                bytes, write, false);
            case 2, 3 ->
            access(layout.iova(1 + 2 * random.nextInt(layout.slots() / 4)) + within(bytes),
                        bytes, write, true);
            case 4 -> access(layout.end() + random.nextLong(layout.size() - bytes), bytes, write, true);
            default -> {
                Tenant other = all.get(random.nextInt(all.size()));
                if (other != tenant) {
                    // Where the other one has memory.
                    access(other.layout().iova(2 * random.nextInt(layout.slots() / 4)) + within(bytes),
                        bytes, write, true);
                } else if (tenant.windowed()) {
                    access(layout.iova(layout.firstBank() + random.nextInt(layout.slots() / 4)) + within(bytes), bytes,
                    false, true);
                }
            }
        }
        LockSupport.parkNanos(NAP_NANOS);
    }

    /** {@return an offset so that all bytes lie in one slot} */
    private int within(int bytes) {
        return random.nextInt(tenant.layout().span() - bytes);
    }

    private void access(long iova, int bytes, boolean write, boolean refused) {
        int slot = tenant.layout().slot(iova);
        int before = tenant.refusals(slot);
        if (write) {
            driver.store(iova, bytes);
        } else {
            driver.fetch(iova, bytes);
        }
        if (refused && tenant.refusals(slot) == before) {
            if (write) {
                referee.strayWrites.add(bytes);
            }
            referee.fail("%s: a %s of %d bytes at iova 0x%x, where nothing is mapped for it, was not refused", name(),
                write ? "write" : "read", bytes, iova);
        }
    }
}
