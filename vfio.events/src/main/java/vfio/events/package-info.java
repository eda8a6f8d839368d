// SPDX-License-Identifier: Apache-2.0
/** Every swap as an event of the OSGi Event Admin. One class, {@link vfio.events.SwapEvents}; nothing is exported. */
package vfio.events;
