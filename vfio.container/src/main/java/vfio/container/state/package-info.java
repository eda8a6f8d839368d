// SPDX-License-Identifier: Apache-2.0
/**
 * What one container is at a moment: the {@link vfio.container.state.Ledger} of what its user asked for, its gate. It
 * calls no other package of this bundle but {@link vfio.container.host}.
 */
package vfio.container.state;
