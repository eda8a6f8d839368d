// SPDX-License-Identifier: Apache-2.0
package launcher;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.ArchConfiguration;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Which way packages point, and what exported types say of themselves; {@link RulesTest} looks at bundles. */
class PackagesTest {
    /** Contracts first. */
    private static final List<String> BUNDLES = List.of("machine.api", "iommu.api", "irq.api", "vfio.api",
        "machine.local", "machine.osgi", "machine.fdt", "machine.acpi", "machine.qemu", "iommu.pamu", "iommu.vtd",
        "irq.mpic", "irq.apic", "vfio.container", "vfio.msi", "vfio.shell", "vfio.soak", "vfio.events", "vfio.health",
        "device.edu", "launcher");
    private static final String VERSIONING = "org.osgi.annotation.versioning.";

    private static JavaClasses all;

    @BeforeAll
    static void read() {
        // What the JDK's classes are is not asked here, and takes longest.
        ArchConfiguration.get().setResolveMissingDependenciesFromClassPath(false);
        all = new ClassFileImporter()
            .importPaths(BUNDLES.stream().map(bundle -> Path.of("..", bundle, "target", "classes")).toList());
    }

    @AfterAll
    static void forget() {
        ArchConfiguration.get().reset();
        all = null;
    }

    private static Stream<String> bundles() {
        return BUNDLES.stream();
    }

    @DisplayName("Every exported type says who implements it, so that a bundle's import range is what it may be: "
        + "@ProviderType or @ConsumerType")
    @Test
    void versioned() {
        assertTrue(all.size() > 300, all.size() + " classes");
        List<String> silent = all.stream().filter(one -> one.getPackageName().matches("[a-z]+\\.api(\\..*)?"))
            .filter(one -> one.isTopLevelClass() && one.getModifiers().contains(JavaModifier.PUBLIC))
            .filter(one -> !one.isAnnotatedWith(VERSIONING + "ProviderType")
                && !one.isAnnotatedWith(VERSIONING + "ConsumerType"))
            .map(JavaClass::getName).sorted().toList();
        assertTrue(silent.isEmpty(), silent.toString());
    }

    @DisplayName("Packages of a bundle do not use each other in a circle")
    @ParameterizedTest
    @MethodSource("bundles")
    void circles(String bundle) {
        slices().assignedFrom(new SliceAssignment() {
            @Override
            public SliceIdentifier getIdentifierOf(JavaClass one) {
                String name = one.getPackageName();
                return name.equals(bundle) || name.startsWith(bundle + ".") ? SliceIdentifier.of(name)
                    : SliceIdentifier.ignore();
            }

            @Override
            public String getDescription() {
                return "packages of " + bundle;
            }
        }).should().beFreeOfCycles().check(all);
    }

    @DisplayName("Parts of the container point one way: none of its files uses another in a circle (decision 31)")
    @Test
    void filesOfTheContainer() {
        slices().assignedFrom(new SliceAssignment() {
            @Override
            public SliceIdentifier getIdentifierOf(JavaClass one) {
                String name = one.getName();
                return name.startsWith("vfio.container.") ? SliceIdentifier.of(name.replaceAll("\\$.*", ""))
                    : SliceIdentifier.ignore();
            }

            @Override
            public String getDescription() {
                return "files of vfio.container";
            }
        }).should().beFreeOfCycles().check(all);
    }

    @DisplayName("Parts of the container point one way: nobody knows who is above, devices and swaps do not know "
        + "each other (decision 31)")
    @Test
    void layersOfTheContainer() {
        layeredArchitecture().consideringOnlyDependenciesInLayers()
            .layer("container").definedBy("vfio.container")
            .layer("swap").definedBy("vfio.container.swap")
            .layer("device").definedBy("vfio.container.device")
            .layer("irq").definedBy("vfio.container.irq")
            .layer("dma").definedBy("vfio.container.dma")
            .layer("state").definedBy("vfio.container.state")
            .layer("host").definedBy("vfio.container.host")
            .whereLayer("container").mayNotBeAccessedByAnyLayer()
            .whereLayer("swap").mayOnlyBeAccessedByLayers("container")
            .whereLayer("device").mayOnlyBeAccessedByLayers("container")
            .whereLayer("irq").mayOnlyBeAccessedByLayers("container", "swap", "device")
            .whereLayer("dma").mayOnlyBeAccessedByLayers("container", "swap", "device", "irq")
            .whereLayer("host").mayNotAccessAnyLayer()
            .whereLayer("state").mayOnlyAccessLayers("host").check(all);
    }

    @DisplayName("Memory has never heard of a message: vfio.container.dma does not use irq.api")
    @Test
    void memory() {
        noClasses().that().resideInAPackage("vfio.container.dma").should().dependOnClassesThat()
            .resideInAPackage("irq.api..").check(all);
    }

    @DisplayName("Hardware and its driver meet on the bus alone: nobody outside of units uses a unit")
    @Test
    void units() {
        noClasses().that().resideOutsideOfPackage("..unit..").should().dependOnClassesThat()
            .resideInAPackage("..unit..").check(all);
    }

    @DisplayName("Only machine sources use machine.local: no bundle outside of machine.* does, nor does machine.osgi")
    @Test
    void machines() {
        noClasses().that()
            .resideOutsideOfPackages("machine.local..", "machine.fdt..", "machine.acpi..", "machine.qemu..").should()
            .dependOnClassesThat().resideInAPackage("machine.local..").check(all);
    }

    @DisplayName("Contracts know no framework: no class of machine.api, iommu.api, irq.api, vfio.api uses org.osgi "
        + "but for its annotations")
    @Test
    void contracts() {
        classes().that().resideInAnyPackage("machine.api..", "iommu.api..", "irq.api..", "vfio.api..").should()
            .onlyDependOnClassesThat()
            .resideInAnyPackage("java..", "machine.api..", "iommu.api..", "irq.api..", "vfio.api..",
                "org.osgi.annotation..", "org.osgi.service.metatype.annotations..").check(all);
    }
}
