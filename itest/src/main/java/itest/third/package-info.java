// SPDX-License-Identifier: Apache-2.0
/** What somebody else writes who adds an MSI strategy: the tests pack this package as a bundle of its own and install that. */
package itest.third;
