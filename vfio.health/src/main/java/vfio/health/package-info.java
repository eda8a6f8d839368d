// SPDX-License-Identifier: Apache-2.0
/**
 * Health checks of a host: {@link vfio.health.ContainersCheck} says what cannot work now, {@link
 * vfio.health.SwapsCheck} what went wrong on the way. Nothing is exported.
 */
package vfio.health;
