// SPDX-License-Identifier: Apache-2.0
/**
 * Gogo commands of scope {@code vfio} over everything there is: machine, groups, containers, windows, interrupts, DMA,
 * faults and reports. A scenario is a Gogo script of these commands.
 *
 * <p>{@link vfio.shell.Workbench} holds what a user of a shell has open: devices with their driver and eventfd, and the
 * {@link vfio.shell.Journal} of what was tried and what came of it, from which every report is made.
 */
package vfio.shell;
