// SPDX-License-Identifier: Apache-2.0
/** The promises to concurrent threads, under jcstress: drains, gates, publication of tables, signals. */
package stress;
