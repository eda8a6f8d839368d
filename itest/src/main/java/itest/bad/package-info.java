// SPDX-License-Identifier: Apache-2.0
/**
 * Faulty code that the tests pack into copies of backends, which then do what their manifest's header {@code
 * X-Misbehave} says.
 */
package itest.bad;
