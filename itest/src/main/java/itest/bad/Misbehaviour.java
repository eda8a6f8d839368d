// SPDX-License-Identifier: Apache-2.0
package itest.bad;

import java.util.concurrent.locks.LockSupport;
import org.osgi.framework.FrameworkUtil;

/** Does what the manifest of the bundle that it is in says, where it says so. */
final class Misbehaviour {
    private static final String RELEASE = "itest.bad.release";
    private static final String STARTS = "itest.bad.starts";

    private Misbehaviour() {
    }

    /** At that place: throws, hangs however often it is interrupted, or nothing. */
    static void at(String place) {
        String due = FrameworkUtil.getBundle(Misbehaviour.class).getHeaders("").get("X-Misbehave");
        if (due.equals(place + " throws")) {
            throw new IllegalStateException(place + " is bad");
        }
        if (due.equals(place + " errs")) {
            throw new NoClassDefFoundError(place + "/Absent");
        }
        if (due.equals(place + " hangs")) {
            while (!Boolean.getBoolean(RELEASE)) {
                LockSupport.parkNanos(2_000_000);
                Thread.interrupted();
            }
        }
        if (due.equals(place + " works once")) {
            int starts = Integer.getInteger(STARTS, 0);
            System.setProperty(STARTS, String.valueOf(starts + 1));
            if (starts > 0) {
                throw new IllegalStateException(place + " worked once");
            }
        }
    }
}
