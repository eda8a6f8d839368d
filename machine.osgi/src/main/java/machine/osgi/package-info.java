// SPDX-License-Identifier: Apache-2.0
/** Publishes the framework's machine and its hardware nodes as services, whatever describes it. */
package machine.osgi;
