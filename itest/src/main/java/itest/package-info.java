// SPDX-License-Identifier: Apache-2.0
/** Tests inside a running framework. */
package itest;
