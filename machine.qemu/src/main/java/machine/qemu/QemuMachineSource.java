// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.MachineSource;
import org.osgi.service.component.annotations.Component;

/** Starts a QEMU for {@code qemu:q35}, {@code qemu:ppce500} or {@code qemu:mpc8544ds}. Stateless, thread-safe. */
@Component(name = "machine.qemu")
public final class QemuMachineSource implements MachineSource {
    private static final String SCHEME = "qemu:";
    private static final int BOARD_MEMORY = 128;

    @Override
    public String reads() {
        return "the name of a QEMU machine (" + String.join(", ", names()) + ")";
    }

    @Override
    public boolean recognises(String locator, byte[] content) {
        return locator.startsWith(SCHEME);
    }

    /**
     * Starts the machine.
     *
     * @param options {@code memory}, {@code qemu}, for q35 {@code devices}, {@code iommu}; see the README
     * @throws ErrnoException EINVAL for a machine or an option that is unknown; and see
     *     {@link machine.qemu.process.Qemu#start}
     */
    @Override
    public Machine open(String locator, byte[] content, Map<String, String> options) {
        String name = locator.substring(SCHEME.length());
        if (name.equals(Q35.NAME)) {
            return Q35.start(QemuOptions.of(options, Q35.MEMORY, Q35.DEVICES, Q35.IOMMU));
        }
        for (E500 board : E500.values()) {
            if (name.equals(board.board())) {
                return board.start(QemuOptions.ofBoard(options, BOARD_MEMORY));
            }
        }
        throw new ErrnoException(Errno.EINVAL, "there is no QEMU machine %s here; there are %s", name, names());
    }

    private static List<String> names() {
        return Stream.concat(Stream.of(Q35.NAME), Arrays.stream(E500.values()).map(E500::board)).map(SCHEME::concat)
            .toList();
    }
}
