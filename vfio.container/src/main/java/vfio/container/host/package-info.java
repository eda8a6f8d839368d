// SPDX-License-Identifier: Apache-2.0
/**
 * What the machine's owner gives all containers: providers that are there, limits, calls of providers that are watched.
 * Lowest of all, beside {@link vfio.container.state}: it calls the APIs and no other package of this bundle.
 */
package vfio.container.host;
