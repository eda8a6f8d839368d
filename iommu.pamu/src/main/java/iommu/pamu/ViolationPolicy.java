// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

/** The driver's reaction to a refused access: report it, or also disable the requester. */
public enum ViolationPolicy {
    /** Reports it. The refused access is all that is lost. */
    REPORT,
    /**
     * Reports it and clears V of the offender's entry, so that all its accesses are refused until its domain is given
     * {@code Enable(true)}; what Linux does. An offender that is invalid already would report for ever (erratum
     * A-003638): then the unit's violation interrupt is turned off until some domain is given {@code Enable(true)}.
     * What a requester did before it was attached where it is now, or before it was last enabled, stops nobody, however
     * late it is read.
     */
    DISABLE
}
