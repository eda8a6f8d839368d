// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Snoop;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A bus in this process. Memory is looked at first, then the register windows by binary search in a sorted array that
 * is replaced as a whole when a window comes or goes. Cores come by {@link Bus#write}; a {@link LocalPort} asks for the
 * memory and the window itself, because it counts its accesses where it begins them.
 */
@ProviderType
public final class PhysicalBus implements Bus {
    private record Window(long start, long end, Mmio mmio) {
    }

    private final Ram[] memory;
    /** Looked at before the others, for most accesses go there; null if there is no memory. */
    private final Ram largest;
    private final Ram[] others;
    /** More than this a snoop does not listen to: no table is as large, and stores into it are slower. */
    private static final long MOST_SNOOPED = 16L << 20;

    private final CopyOnWriteArrayList<InFlight> ports = new CopyOnWriteArrayList<>();
    /** Stores into memory that no port counts. */
    private final InFlight cores = new InFlight(CPU, "the machine itself");
    /** Snoops that some store under way may not have noticed yet. */
    private final CopyOnWriteArrayList<LocalSnoop> deaf = new CopyOnWriteArrayList<>();
    private final Duration limit;
    private volatile Window[] windows = {};

    /** A bus that waits at most five seconds for accesses under way. */
    public PhysicalBus(List<Ram> memory) {
        this(memory, Duration.ofSeconds(5));
    }

    /**
     * @param memory the machine's memory, in any order
     * @param limit how long {@link #sync}, a gate, and who takes something out, wait for accesses under way; more than
     *     nothing
     * @throws IllegalArgumentException if two pieces overlap, or the limit is nothing or less
     */
    public PhysicalBus(List<Ram> memory, Duration limit) {
        if (limit.isNegative() || limit.isZero()) {
            throw new IllegalArgumentException(
                "accesses under way are waited for " + limit + "; more than nothing is meant");
        }
        this.limit = limit;
        this.memory = memory.toArray(Ram[]::new);
        Arrays.sort(this.memory, (a, b) -> Long.compare(a.base(), b.base()));
        for (int i = 1; i < this.memory.length; i++) {
            Ram below = this.memory[i - 1];
            if (below.base() + below.size() > this.memory[i].base()) {
                throw new IllegalArgumentException(String.format("memory at 0x%x and at 0x%x overlap",
                    below.base(), this.memory[i].base()));
            }
        }
        largest = memory.stream().max(Comparator.comparingLong(Ram::size)).orElse(null);
        others = memory.stream().filter(ram -> ram != largest).toArray(Ram[]::new);
    }

    /** {@return the machine's memory by ascending address} */
    public List<Ram> memory() {
        return List.of(memory);
    }

    @Override
    public long read(long physical, int size) {
        Ram ram = ram(physical, size);
        if (ram != null) {
            return ram.read(physical - ram.base(), size);
        }
        Window window = window(physical, size);
        return window == null ? ones(size) : window.mmio.read(physical - window.start, size) & ones(size);
    }

    @Override
    public int write(int requester, long physical, int size, long value) {
        Ram ram = ram(physical, size);
        if (ram == null) {
            return register(requester, physical, size, value);
        }
        int entered = cores.enter();
        try {
            ram.write(physical - ram.base(), size, value);
            cores.exit(entered);
            entered = InFlight.OUT;
        } finally {
            if (entered >= 0) {
                synchronized (cores.words) {
                    cores.words[entered]++;
                }
            }
        }
        return OK;
    }

    /** A write that reaches no memory. */
    int register(int requester, long physical, int size, long value) {
        Window window = window(physical, size);
        if (window == null) {
            return Refusal.NO_TARGET;
        }
        window.mmio.write(requester, physical - window.start, size, value & ones(size));
        return OK;
    }

    @Override
    public int read(long physical, byte[] to, int offset, int length) {
        Ram ram = ram(physical, length);
        if (ram != null) {
            ram.read(physical - ram.base(), to, offset, length);
            return OK;
        }
        int status = OK;
        for (int done = 0; done < length; ) {
            int size = piece(physical + done, length - done);
            if (!answers(physical + done, size)) {
                status = Refusal.NO_TARGET;
            }
            long value = read(physical + done, size);
            for (int i = 0; i < size; i++) {
                to[offset + done + i] = (byte) (value >>> (8 * i));
            }
            done += size;
        }
        return status;
    }

    @Override
    public int write(int requester, long physical, byte[] from, int offset, int length) {
        Ram ram = ram(physical, length);
        if (ram == null) {
            return registers(requester, physical, from, offset, length);
        }
        int entered = cores.enter();
        try {
            ram.write(physical - ram.base(), from, offset, length);
            cores.exit(entered);
            entered = InFlight.OUT;
        } finally {
            if (entered >= 0) {
                synchronized (cores.words) {
                    cores.words[entered]++;
                }
            }
        }
        return OK;
    }

    /** A block that reaches no memory: one request for each register. */
    int registers(int requester, long physical, byte[] from, int offset, int length) {
        int status = OK;
        for (int done = 0; done < length; ) {
            int size = piece(physical + done, length - done);
            long value = 0;
            for (int i = 0; i < size; i++) {
                value |= (from[offset + done + i] & 0xffL) << (8 * i);
            }
            int one = write(requester, physical + done, size, value);
            status = one == OK ? status : one;
            done += size;
        }
        return status;
    }

    @Override
    public void sync() {
        // What the caller wrote goes out before the ports are listed: a port that is not listed yet sees it.
        VarHandle.fullFence();
        Object[] fresh = deaf.isEmpty() ? null : deaf.toArray();
        InFlight.Patience patience = patience();
        for (InFlight port : ports) {
            port.drain(patience);
        }
        if (fresh != null) {
            cores.drain(patience);
            for (Object snoop : fresh) {
                ((LocalSnoop) snoop).listen();
                deaf.remove(snoop);
            }
        }
    }

    @Override
    public void sync(Set<Integer> requesters) {
        VarHandle.fullFence();
        InFlight.Patience patience = patience();
        for (InFlight port : ports) {
            if (requesters.contains(port.requester())) {
                port.drain(patience);
            }
        }
    }

    /** {@return a new time limit for a wait for accesses under way} */
    InFlight.Patience patience() {
        return new InFlight.Patience(limit);
    }

    @Override
    public Snoop snoop(List<Node.Range> ranges) {
        long size = 0;
        for (Node.Range range : ranges) {
            if (range.size() < 0 || range.size() > MOST_SNOOPED || size + range.size() > MOST_SNOOPED
                    || range.size() > 0 && ram(range.physical(), (int) range.size()) == null) {
                return Snoop.NEVER;
            }
            size += range.size();
        }
        LocalSnoop snoop = new LocalSnoop(ranges, this::forget);
        for (Ram ram : memory) {
            if (snoop.touches(ram.base(), ram.size())) {
                ram.attach(snoop);
            }
        }
        // Last: what listens from now on has been announced to everybody.
        deaf.add(snoop);
        return snoop;
    }

    private void forget(LocalSnoop snoop) {
        deaf.remove(snoop);
        for (Ram ram : memory) {
            ram.detach(snoop);
        }
    }

    @Override
    public Attachment attach(long physical, long size, Mmio mmio) {
        if (size <= 0 || physical < 0 || physical + size < 0) {
            throw new IllegalArgumentException(String.format("window 0x%x+0x%x", physical, size));
        }
        Window fresh = new Window(physical, physical + size, mmio);
        insert(fresh);
        return () -> remove(fresh);
    }

    /** Counts a port in or out of what {@link #sync} waits for. */
    void watch(InFlight port, boolean watched) {
        if (watched) {
            ports.add(port);
        } else {
            ports.remove(port);
        }
    }

    /**
     * {@return the memory in which all of that lies, which a port counts its own stores into; null if there is none}
     */
    Ram ram(long physical, int length) {
        return largest != null && holds(largest, physical, length) ? largest : other(physical, length);
    }

    private Ram other(long physical, int length) {
        for (Ram ram : others) {
            if (holds(ram, physical, length)) {
                return ram;
            }
        }
        return null;
    }

    private static boolean holds(Ram ram, long physical, int length) {
        long offset = physical - ram.base();
        return offset >= 0 && offset <= ram.size() - length;
    }

    private Window window(long physical, int size) {
        Window[] now = windows;
        int low = 0;
        int high = now.length - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            Window window = now[middle];
            if (physical < window.start) {
                high = middle - 1;
            } else if (physical >= window.end) {
                low = middle + 1;
            } else {
                return physical <= window.end - size ? window : null;
            }
        }
        return null;
    }

    private boolean answers(long physical, int size) {
        return ram(physical, size) != null || window(physical, size) != null;
    }

    private synchronized void insert(Window fresh) {
        for (Ram ram : memory) {
            if (fresh.start < ram.base() + ram.size() && ram.base() < fresh.end) {
                throw taken(fresh, "memory", ram.base(), ram.base() + ram.size());
            }
        }
        for (Window window : windows) {
            if (fresh.start < window.end && window.start < fresh.end) {
                throw taken(fresh, "a window", window.start, window.end);
            }
        }
        Window[] next = Arrays.copyOf(windows, windows.length + 1);
        next[windows.length] = fresh;
        Arrays.sort(next, (a, b) -> Long.compare(a.start, b.start));
        windows = next;
    }

    private synchronized void remove(Window gone) {
        windows = Arrays.stream(windows).filter(window -> window != gone).toArray(Window[]::new);
    }

    private static ErrnoException taken(Window fresh, String by, long start, long end) {
        return new ErrnoException(Errno.EEXIST,
            "register window 0x%x..0x%x touches %s at 0x%x..0x%x; attach it elsewhere", fresh.start, fresh.end - 1, by,
            start, end - 1);
    }

    /** The largest naturally aligned piece of at most 4 bytes. */
    private static int piece(long physical, int length) {
        if ((physical & 3) == 0 && length >= 4) {
            return 4;
        }
        return (physical & 1) == 0 && length >= 2 ? 2 : 1;
    }

    private static long ones(int size) {
        return size == 8 ? -1L : (1L << (8 * size)) - 1;
    }
}
