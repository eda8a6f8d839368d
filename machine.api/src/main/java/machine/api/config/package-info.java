// SPDX-License-Identifier: Apache-2.0
/**
 * How a component reads its configuration: what is legal is taken, what is not is refused in one line, and what was
 * there before stays (decision 17). Used by components alone; the classes they configure take settings of their own and
 * know no framework.
 */
@Export
@Version("1.0.0")
package machine.api.config;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
