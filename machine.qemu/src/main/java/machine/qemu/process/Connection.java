// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * A line protocol with the process: requests go out in order, replies come back in the same order, and unrequested
 * lines come in between.
 *
 * <p>One thread of its own reads; a caller writes and parks. The channel never blocks, because an interrupt closes a
 * channel on which a thread blocks: a caller's interrupt is kept for later and the connection lives on.
 */
final class Connection {
    /** A request's replies, filled in by the reading thread. */
    abstract static class Pending {
        private final Thread waiter = Thread.currentThread();
        private long since;
        private volatile boolean done;
        private ErrnoException gone;

        /**
         * One line of reply, without its end.
         *
         * @return whether that was the last one
         */
        abstract boolean line(byte[] buffer, int from, int to);
    }

    /** Looks at each line first; on the reading thread. */
    interface Unasked {
        /** {@return whether the line was nobody's reply, and is dealt with} */
        boolean line(byte[] buffer, int from, int to);
    }

    /** The process's owner, asked when the connection breaks or QEMU does not answer. */
    interface Owner {
        ErrnoException gone();

        void hangs(String protocol, long seconds);
    }

    private static final int FIRST_BUFFER = 1 << 16;

    private final String protocol;
    private final SocketChannel channel;
    private final Unasked unasked;
    private final Owner owner;
    private final long patience;
    private final Selector selector;
    private final Thread reader;

    /** Held while a request is queued and written, so that queue and wire agree. */
    private final Object sending = new Object();
    /** Guarded by itself. */
    private final Deque<Pending> pending = new ArrayDeque<>();
    /** Why there will be no more replies. Guarded by pending. */
    private ErrnoException broken;

    private byte[] buffer = new byte[FIRST_BUFFER];

    /** @param patience seconds to wait for a reply before QEMU counts as hung */
    Connection(String protocol, SocketChannel channel, Unasked unasked, Owner owner, long patience) throws IOException {
        this.protocol = protocol;
        this.channel = channel;
        this.unasked = unasked;
        this.owner = owner;
        this.patience = patience;
        channel.configureBlocking(false);
        selector = Selector.open();
        channel.register(selector, SelectionKey.OP_READ);
        reader = new Thread(this::read, "machine.qemu " + protocol);
        reader.setDaemon(true);
    }

    void start() {
        reader.start();
    }

    /** {@return whether the calling thread is the one that reads, and must not wait for a reply} */
    boolean reading() {
        return Thread.currentThread() == reader;
    }

    /**
     * Sends a request and waits for its replies. Not interruptible: an interrupt stays set.
     *
     * @throws ErrnoException EIO if QEMU is gone
     */
    void request(byte[] bytes, int length, Pending request) {
        if (reading()) {
            throw new IllegalStateException(
                "a listener of " + protocol + " lines must not ask QEMU: it would wait for itself");
        }
        synchronized (sending) {
            expect(request);
            send(ByteBuffer.wrap(bytes, 0, length));
        }
        await(request);
    }

    /** Waits for lines that come without a request. */
    void await(Pending request) {
        boolean interrupted = false;
        while (!request.done) {
            LockSupport.park(this);
            interrupted |= Thread.interrupted();
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        if (request.gone != null) {
            throw new ErrnoException(request.gone.errno(), request.gone, "%s", request.gone.reason());
        }
    }

    void expect(Pending request) {
        synchronized (pending) {
            if (broken != null) {
                request.gone = broken;
                request.done = true;
                return;
            }
            request.since = System.nanoTime();
            pending.add(request);
        }
    }

    void close() {
        try {
            channel.close();
        } catch (IOException e) {
            // Closed is what it should be; the reading thread notices either way.
        }
        selector.wakeup();
    }

    /** A failure to write is not reported from here: the reading thread sees the same end and knows why. */
    private void send(ByteBuffer bytes) {
        try {
            while (bytes.hasRemaining()) {
                if (channel.write(bytes) == 0) {
                    // QEMU is busy with what it has; the reading thread goes on taking its replies.
                    LockSupport.parkNanos(20_000);
                }
            }
        } catch (IOException e) {
            selector.wakeup();
        }
    }

    private void read() {
        int end = 0;
        try {
            while (true) {
                int got = channel.read(ByteBuffer.wrap(buffer, end, buffer.length - end));
                if (got < 0) {
                    break;
                }
                if (got == 0) {
                    selector.select(1000);
                    selector.selectedKeys().clear();
                    impatient();
                    continue;
                }
                end = lines(end, end + got);
            }
        } catch (IOException e) {
            // The end, told below.
        } catch (RuntimeException | Error e) {
            end(new ErrnoException(Errno.EIO, e, "QEMU's %s lines cannot be understood: %s", protocol, e.getMessage()));
            throw e;
        }
        try {
            selector.close();
        } catch (IOException e) {
            // Nothing depends on it any more.
        }
        end(owner.gone());
    }

    /**
     * Takes the whole lines out of the buffer.
     *
     * @param searched up to here there is no end of a line
     * @return how many bytes are left over, at the start of the buffer
     */
    private int lines(int searched, int end) {
        int start = 0;
        for (int i = searched; i < end; i++) {
            if (buffer[i] == '\n') {
                line(start, i > start && buffer[i - 1] == '\r' ? i - 1 : i);
                start = i + 1;
            }
        }
        int left = end - start;
        if (left == buffer.length) {
            buffer = Arrays.copyOf(buffer, 2 * buffer.length);
        } else if (start > 0) {
            System.arraycopy(buffer, start, buffer, 0, left);
        }
        return left;
    }

    private void line(int from, int to) {
        if (unasked.line(buffer, from, to)) {
            return;
        }
        Pending head;
        synchronized (pending) {
            head = pending.peek();
        }
        if (head == null) {
            throw new IllegalStateException(
                "nobody asked for: " + new String(buffer, from, to - from, StandardCharsets.US_ASCII));
        }
        if (head.line(buffer, from, to)) {
            synchronized (pending) {
                pending.remove();
                if (!pending.isEmpty()) {
                    pending.peek().since = System.nanoTime();
                }
            }
            finish(head);
        }
    }

    private void impatient() {
        long waited;
        synchronized (pending) {
            waited = pending.isEmpty() ? 0 : System.nanoTime() - pending.peek().since;
        }
        if (waited > TimeUnit.SECONDS.toNanos(patience)) {
            owner.hangs(protocol, patience);
        }
    }

    private void end(ErrnoException why) {
        synchronized (pending) {
            broken = why;
            while (!pending.isEmpty()) {
                Pending left = pending.remove();
                left.gone = why;
                finish(left);
            }
        }
    }

    private static void finish(Pending request) {
        request.done = true;
        LockSupport.unpark(request.waiter);
    }
}
