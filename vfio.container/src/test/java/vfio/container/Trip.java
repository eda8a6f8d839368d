// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import machine.api.Errno;
import machine.api.ErrnoException;

/** Counts the calls of the fakes and makes the n-th one fail, before it has changed anything. */
final class Trip {
    /** What happens besides, at each call. */
    volatile Runnable each = () -> {
    };
    /** What a call that fails says. */
    volatile Errno errno = Errno.EIO;
    private int calls;
    private int failing;
    private String named = "";
    private boolean always;

    synchronized void at(int n) {
        calls = 0;
        failing = n;
    }

    /** The next call of that name fails, or each until this is called again; none if the name is empty. */
    synchronized void at(String name, boolean each) {
        named = name;
        always = each;
    }

    synchronized boolean happened() {
        return failing > 0 && calls >= failing;
    }

    void step(String what) {
        each.run();
        count(what);
    }

    private synchronized void count(String what) {
        if (what.equals(named)) {
            named = always ? named : "";
            throw new ErrnoException(errno, "%s fails", what);
        }
        if (++calls == failing) {
            throw new ErrnoException(errno, "call %d, %s, fails", calls, what);
        }
    }
}
