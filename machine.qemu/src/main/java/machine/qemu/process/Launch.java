// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * The command line of a QEMU.
 *
 * @param binary name to look for on the PATH, or a path
 * @param debianPackage which package has it, for an error message
 * @param arguments without what {@link Qemu} adds: sockets, no display, no default devices, no user's configuration
 * @param files to be in the process's working directory, by name
 * @param channels names of character devices that QEMU connects to us, see {@link Qemu#channel}
 */
public record Launch(String binary, String debianPackage, List<String> arguments, Map<String, byte[]> files,
    List<String> channels) {
    /** Copies. */
    public Launch {
        arguments = List.copyOf(arguments);
        files = Map.copyOf(files);
        channels = List.copyOf(channels);
    }

    /**
     * A PC with PCIe and, if asked for, VT-d. No firmware: PCI is as after power-up, the core halts at its first
     * instruction.
     *
     * <p>The virtual clock has to run, because devices' timers do (so no {@code -S}); by icount it jumps over idle
     * time, so that what takes edu 100 ms takes 1. The ROM stops the 8254, whose ticks would keep an idle QEMU busy,
     * and halts.
     *
     * @param memory MiB
     * @param devices arguments of {@code -device}, in order: {@code intel-iommu,intremap=on}, {@code edu,addr=3.0}
     */
    public static Launch q35(int memory, String... devices) {
        List<String> arguments = new ArrayList<>(
            List.of("-M", "q35", "-accel", "tcg", "-cpu", "qemu64", "-m", Integer.toString(memory),
            "-bios", "bios.rom", "-icount", "shift=0,sleep=off"));
        for (String device : devices) {
            arguments.addAll(List.of("-device", device));
        }
        return new Launch("qemu-system-x86_64", "qemu-system-x86", arguments, Map.of("bios.rom", haltRom()), List.of());
    }

    /**
     * A board with an e500 core and Freescale's MPIC. The cores stand still: all that happens is done from outside.
     *
     * @param board {@code ppce500} (MPIC 4.2) or {@code mpc8544ds} (MPIC 2.0)
     * @param memory MiB
     * @param cpus cores; {@code mpc8544ds} has one
     */
    public static Launch e500(String board, int memory, int cpus) {
        return new Launch("qemu-system-ppc", "qemu-system-ppc", List.of("-M", board, "-accel", "tcg", "-S", "-smp",
            Integer.toString(cpus), "-m", Integer.toString(memory), "-bios", "idle.elf"), Map.of("idle.elf", idleElf()),
            List.of());
    }

    /** {@return the same with more arguments} */
    public Launch with(String... more) {
        List<String> all = new ArrayList<>(arguments);
        all.addAll(List.of(more));
        return new Launch(binary, debianPackage, all, files, channels);
    }

    /** {@return the same with another binary} */
    public Launch by(String other) {
        return new Launch(other, debianPackage, arguments, files, channels);
    }

    /** {@return the same with another file beside} */
    public Launch file(String name, byte[] content) {
        Map<String, byte[]> all = new HashMap<>(files);
        all.put(name, content);
        return new Launch(binary, debianPackage, arguments, all, channels);
    }

    /** {@return the same with another character device of that id, for an argument to name} */
    public Launch channel(String name) {
        List<String> all = new ArrayList<>(channels);
        all.add(name);
        return new Launch(binary, debianPackage, arguments, files, all);
    }

    private static byte[] haltRom() {
        byte[] rom = new byte[0x10000];
        Arrays.fill(rom, (byte) 0xff);
        // Reset vector: cli; the 8254's channel 0 counts to 1, once; hlt; jmp to hlt.
        ByteBuffer.wrap(rom).position(0xfff0).put(HexFormat.of().parseHex("fab030e643b001e640b000e640f4ebfd"));
        return rom;
    }

    /** The smallest payload e500 boards accept: an ELF with one instruction, a branch to itself, at 16 MiB. */
    private static byte[] idleElf() {
        int entry = 0x100_0000;
        return ByteBuffer.allocate(88).order(ByteOrder.BIG_ENDIAN)
            .put(new byte[] {0x7f, 'E', 'L', 'F', 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
            // Executable, PowerPC, version 1; entry, program header at 52, no sections; 52 bytes, 1 program header of
            // 32.
            .putShort((short) 2).putShort((short) 20).putInt(1)
            .putInt(entry).putInt(52).putInt(0).putInt(0)
            .putShort((short) 52).putShort((short) 32).putShort((short) 1).putShort((short) 0).putShort((short) 0)
            .putShort((short) 0)
            // PT_LOAD of the 4 bytes at 84, readable and executable.
            .putInt(1).putInt(84).putInt(entry).putInt(entry).putInt(4).putInt(4).putInt(5).putInt(4)
            .putInt(0x4800_0000).array();
    }
}
