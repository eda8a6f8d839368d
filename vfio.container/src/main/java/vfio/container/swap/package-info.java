// SPDX-License-Identifier: Apache-2.0
/**
 * The hot swap (decision 12): the swap that a user asks for, and what comes and goes beneath a container. An event has
 * one name from its arrival to its end: {@code arrived}, {@code leaving} while what leaves is still there,
 * {@code gone}. It calls {@link vfio.container.irq}, {@link vfio.container.dma} and what lies below them; the container
 * calls it.
 */
package vfio.container.swap;
