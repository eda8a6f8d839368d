// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import iommu.api.ReservedRegion;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Component;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/**
 * {@code reserved}: doorbells lie in a range that never enters translation (x86: 0xfee00000), so nobody places
 * anything. What keeps devices apart there is interrupt remapping, not a window.
 */
@Component(property = {"msi.strategy=reserved", "service.ranking:Integer=100"})
public final class ReservedStrategy implements MsiStrategy {
    @Override
    public String name() {
        return "reserved";
    }

    @Override
    public List<String> operations() {
        return List.of();
    }

    @Override
    public MsiAssessment assess(MsiEnvironment environment) {
        if (environment.banks().isEmpty()) {
            return MsiAssessment.refused("the interrupt controller has no doorbell");
        }
        return region(environment) == null
            ? MsiAssessment.refused("MSIs are translated here like any write: no range is reserved for doorbells")
            : new MsiAssessment(true, "doorbells are outside translation; nothing is to be done", 0, 0);
    }

    @Override
    public MsiSession bind(MsiEnvironment environment) {
        return new Session(environment);
    }

    private static ReservedRegion region(MsiEnvironment environment) {
        return environment.capabilities().reserved().stream().filter(region -> region.kind() == ReservedRegion.Kind.MSI)
            .findFirst()
            .orElse(null);
    }

    private record Session(MsiEnvironment environment) implements MsiSession {
        @Override
        public List<Integer> reachable() {
            return environment.banks().stream().map(MsiEnvironment.Bank::index).toList();
        }

        @Override
        public long enable(int bank) {
            return region(environment).start();
        }

        @Override
        public void disable(int bank) {
            // Nothing was placed.
        }

        @Override
        public void mapping(long iova, long length) {
            // The range is none of the valid ones: the container has refused it already.
        }

        @Override
        public long call(String operation, long... arguments) {
            throw new ErrnoException(Errno.ENOTTY, "strategy reserved has no operation %s: there is nothing to do",
                operation);
        }

        @Override
        public void close() {
            // Nothing was placed.
        }
    }
}
