// SPDX-License-Identifier: Apache-2.0
/**
 * A machine whose hardware is QEMU's: its bus, its wires and its clock are a QEMU process, reached over qtest and QMP.
 */
package machine.qemu;
