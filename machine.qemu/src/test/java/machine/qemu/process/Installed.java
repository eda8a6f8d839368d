// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;

/** The tests run where Debian's QEMU is installed; elsewhere one loud line says that they do not. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
@ExtendWith(Installed.Condition.class)
public @interface Installed {
    /** Skips, and says so once for each JVM. */
    final class Condition implements ExecutionCondition {
        private static boolean told;

        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            Set<String> missing = new TreeSet<>();
            for (Launch launch : List.of(Launch.q35(64), Launch.e500("ppce500", 64, 1))) {
                if (!Qemu.installed(launch)) {
                    missing.add(launch.debianPackage());
                }
            }
            if (missing.isEmpty()) {
                return ConditionEvaluationResult.enabled("QEMU is installed");
            }
            tell("!!! SKIPPED: tests with QEMU's hardware. Not installed: " + String.join(" ", missing) + " !!!");
            return ConditionEvaluationResult.disabled("no " + String.join(", ", missing));
        }

        private static synchronized void tell(String line) {
            if (!told) {
                told = true;
                System.err.println(line);
            }
        }
    }
}
