// SPDX-License-Identifier: Apache-2.0
/**
 * Swaps under load. Two containers' devices move memory and interrupt, a user maps and unmaps, and meanwhile every
 * backend below them is stopped, updated, taken out, switched off, made to throw and moved away from, at random points.
 * {@link vfio.soak.Referee} counts the results; no result relies on the code under test.
 *
 * <p>Read {@link vfio.soak.Soak} first, then {@link vfio.soak.Tenant} (a container with its memory), the workers
 * ({@link vfio.soak.Copier}, {@link vfio.soak.Burster}, {@link vfio.soak.IntxWorker}, {@link vfio.soak.Roamer}, {@link
 * vfio.soak.Churner}) and and the swappers ({@link vfio.soak.Swapper}).
 */
package vfio.soak;
