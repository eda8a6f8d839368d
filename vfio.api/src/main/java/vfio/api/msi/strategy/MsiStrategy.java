// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi.strategy;

import java.util.List;
import org.osgi.annotation.versioning.ConsumerType;
import vfio.api.msi.MsiAssessment;

/** A policy that decides how MSIs pass the IOMMU. A service; stateless, any thread. */
@ConsumerType
public interface MsiStrategy {
    /** {@return the name, unique among the strategies: {@code bank}, {@code reserved}} */
    String name();

    /** {@return the user operations in the form {@code MAP_MSI_BANK index iova}, for help and for error messages} */
    List<String> operations();

    /** {@return whether this strategy would work there, and why not} */
    MsiAssessment assess(MsiEnvironment environment);

    /** {@return a new session of this strategy for one container} */
    MsiSession bind(MsiEnvironment environment);
}
