// SPDX-License-Identifier: Apache-2.0
/** The command line: loads a machine, waits until everything on it is up, runs a scenario or a shell. */
package launcher;
