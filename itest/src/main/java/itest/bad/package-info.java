// SPDX-License-Identifier: Apache-2.0
/** What misbehaves: the tests pack this into copies of backends, which then do what their manifest's header {@code X-Misbehave} says. */
package itest.bad;
