// SPDX-License-Identifier: Apache-2.0
package stress;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Which way the races point; the launcher's test of the same name looks at bundles. */
class PackagesTest {
    private static JavaClasses all;

    @BeforeAll
    static void read() {
        ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
        // What jcstress generates is not ours.
        all = new ClassFileImporter().withImportOption(one -> !one.contains("_jcstress"))
            .importPath(Path.of("target", "classes"));
    }

    @AfterAll
    static void forget() {
        ArchConfiguration.get().reset();
        all = null;
    }

    @Test
    @DisplayName("Files of stress do not use each other in a circle")
    void circles() {
        slices().assignedFrom(new SliceAssignment() {
            @Override
            public SliceIdentifier getIdentifierOf(JavaClass one) {
                return one.getPackageName().equals("stress")
                    ? SliceIdentifier.of(one.getName().replaceAll("\\$.*", "")) : SliceIdentifier.ignore();
            }

            @Override
            public String getDescription() {
                return "files of stress";
            }
        }).should().beFreeOfCycles().check(all);
    }

    @Test
    @DisplayName("A race sees contracts, one road and one bench: nobody else in the package uses a driver, a unit or a "
        + "machine")
    void races() {
        noClasses().that().resideInAPackage("stress")
            .and().haveNameNotMatching("stress\\.(Bench|Road)(\\$.*)?")
            .should().dependOnClassesThat()
            .resideInAnyPackage("iommu.pamu..", "iommu.vtd..", "machine.local..", "machine.fixture..").check(all);
    }

    @Test
    @DisplayName("Every file of races has a row in the README that says what is forbidden")
    void documented() throws Exception {
        String readme = Files.readString(Path.of("README.md"));
        List<String> silent = all.stream()
            .filter(one -> one.isAnnotatedWith("org.openjdk.jcstress.annotations.JCStressTest"))
            .map(one -> one.getName().replaceAll(".*\\.|\\$.*", "")).distinct()
            .filter(file -> !readme.contains("| `" + file + "` |")).toList();
        assertEquals(List.of(), silent);
    }
}
