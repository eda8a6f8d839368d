// SPDX-License-Identifier: Apache-2.0
/**
 * The driver of the PAMU: domains are apertures divided into windows, written into tables in the machine's memory. It
 * reaches tables and registers through {@link machine.api.Bus} alone; the hardware model in {@code iommu.pamu.unit} may
 * be replaced by hardware that is elsewhere.
 *
 * <p><b>Locks</b>, in the order they are taken: a domain's own; the driver's (which requester belongs to which domain);
 * the violation scan's; the primary entries' ({@link iommu.pamu.PamuTables}). Only the first is ever held while waiting
 * for {@link machine.api.Bus#sync}; an interrupt handler takes only the last two, so it never waits for a sync that
 * waits for it.
 */
package iommu.pamu;
