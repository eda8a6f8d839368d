// SPDX-License-Identifier: Apache-2.0
/** The MSI strategies, one component each; see {@link vfio.api.msi.strategy}. */
package vfio.msi;
