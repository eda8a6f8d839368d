// SPDX-License-Identifier: Apache-2.0
/**
 * A QEMU process and the two protocols spoken with it. Knows nothing of what a machine is.
 *
 * <p>Read it in this order: {@link machine.qemu.process.Launch} says what to start, {@link machine.qemu.process.Qemu}
 * starts and ends it, {@link machine.qemu.process.Qtest} with {@link machine.qemu.process.Batch} does what a core could
 * do, {@link machine.qemu.process.Qmp} asks for what only QEMU knows.
 */
package machine.qemu.process;
