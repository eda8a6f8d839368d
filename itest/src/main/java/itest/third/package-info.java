// SPDX-License-Identifier: Apache-2.0
/** A third party's MSI strategy, which the tests pack as a bundle of its own and install. */
package itest.third;
