// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.Iommu;
import iommu.api.Violation;
import irq.api.InterruptController;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.PciFunction;
import machine.api.config.ConfigurationReader;
import org.osgi.framework.Bundle;
import org.osgi.framework.Constants;
import org.osgi.framework.ServiceReference;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Modified;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicy;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;
import vfio.api.Container;
import vfio.api.EventFd;
import vfio.api.Extension;
import vfio.api.Group;
import vfio.api.Vfio;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.SwapListener;
import vfio.container.host.ContainerLimits;
import vfio.container.host.RelaxableClasses;

/**
 * VFIO as a service: a shell around {@link VfioService}. Providers come and go while containers live, so their
 * references are dynamic; each arrival and departure has been dealt with when the framework's call returns.
 */
@Component(name = "vfio.container", immediate = true)
@Designate(ocd = VfioComponent.Config.class)
public final class VfioComponent implements Vfio {
    /** The configuration {@code vfio.container}. */
    @ObjectClassDefinition(name = "VFIO containers", description = "What the host allows each container")
    public @interface Config {
        /**
         * {@code dma.entry.limit}: how many mappings a container may hold, at least 1; Linux's dma_entry_limit. For
         * maps from now on.
         */
        @AttributeDefinition(name = "DMA entry limit", min = "1",
            description = "how many mappings a container may hold, as Linux's dma_entry_limit; for maps from now on")
        int dma_entry_limit() default 65_535;

        /**
         * {@code locked.memory.limit}: how many bytes a container may map, at least 0; what is mapped twice counts
         * twice. Linux's RLIMIT_MEMLOCK; the default is no limit. For maps from now on.
         */
        @AttributeDefinition(name = "Locked memory limit", min = "0",
            description = "how many bytes a container may map, as Linux's RLIMIT_MEMLOCK; for maps from now on")
        long locked_memory_limit() default ContainerLimits.UNLIMITED;

        /**
         * {@code allow.unsafe.interrupts}: whether an IOMMU whose doorbells lie outside translation may be used though
         * no interrupt controller verifies who rings them; then any device of any container can ring any vector. And
         * whether an MSI bank may be placed though the IOMMU's smallest page has more in it than the bank; then a
         * device that uses the bank can write to that, too. Linux's allow_unsafe_interrupts. For groups that are
         * attached, and banks that are placed, from now on.
         */
        @AttributeDefinition(name = "Allow unsafe interrupts", description = "use an IOMMU whose doorbells lie outside "
            + "translation though nobody verifies who rings, as Linux's allow_unsafe_interrupts, or whose pages are "
            + "larger than an MSI bank; for groups attached and banks placed from now on")
        boolean allow_unsafe_interrupts() default false;

        /** {@code stall.bound}: how many milliseconds devices of a new container may wait during a swap, 0..3600000. */
        @AttributeDefinition(name = "Stall bound", min = "0", max = "3600000",
            description = "how many milliseconds a container's devices may wait during a swap; for new containers")
        long stall_bound() default 1_000;

        /**
         * {@code provider.timeout}: how many milliseconds a provider may take for one step of a swap, 1..3600000. For
         * calls that begin from now on.
         */
        @AttributeDefinition(name = "Provider timeout", min = "1", max = "3600000",
            description = "how many milliseconds a provider may take for one step of a swap; for calls from now on")
        long provider_timeout() default 10_000;

        /**
         * {@code relaxable.rmrr.classes}: PCI classes, each 2, 4 or 6 hexadecimal digits, of devices that are given to
         * users though firmware wants memory mapped one to one for them (an RMRR). The default is what Linux takes as
         * relaxable: USB and graphics. For devices that come from now on.
         */
        @AttributeDefinition(name = "Relaxable RMRR classes", description = "PCI classes, each 2, 4 or 6 hexadecimal "
            + "digits, of devices that are given to users in spite of an RMRR; for devices that come from now on")
        String[] relaxable_rmrr_classes() default {"0c03", "03"};
    }

    private static final long LONGEST_MILLIS = 3_600_000;

    private final ConfigurationReader configuration;
    private final VfioService service;

    /**
     * Built by Declarative Services. What is not legal in the configuration is refused in one line, and its default
     * used.
     */
    @Activate
    public VfioComponent(Map<String, Object> properties, @Reference(name = "machine") Machine machine,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        configuration = new ConfigurationReader("vfio.container", Config.class, log::error);
        service = new VfioService(machine, configuration.read(properties, VfioComponent::settings));
    }

    /**
     * Another configuration: no container is closed. What is not legal is refused in one line, and what was there
     * before stays.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        service.change(configuration.read(properties, VfioComponent::settings));
    }

    private static ContainerLimits settings(ConfigurationReader.Values values) {
        return new ContainerLimits(values.integer("dma.entry.limit", 1, Integer.MAX_VALUE),
            values.number("locked.memory.limit", 0, ContainerLimits.UNLIMITED), values.flag("allow.unsafe.interrupts"),
            Duration.ofMillis(values.number("stall.bound", 0, LONGEST_MILLIS)),
            Duration.ofMillis(values.number("provider.timeout", 1, LONGEST_MILLIS)),
            values.words("relaxable.rmrr.classes", word -> word.matches(RelaxableClasses.PREFIX),
            "each 2, 4 or 6 hexadecimal digits"));
    }

    @Deactivate
    void deactivate() {
        service.close();
    }

    @Reference(name = "iommu", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addIommu(Iommu iommu, ServiceReference<Iommu> reference, Map<String, Object> properties) {
        String kind = properties.get(Iommu.KIND) instanceof String text ? text : "";
        List<String> types = Iommu.types(properties.get(Iommu.TYPE));
        if (!kind.isEmpty() && !types.isEmpty()) {
            service.addIommu(iommu, kind, types, label(reference), ranking(properties));
        } else {
            String wrong = kind.isEmpty() ? Iommu.KIND : Iommu.TYPE;
            // Thrown, it would be a page of stack traces in the log, and the provider bound all the same.
            System.getLogger(VfioComponent.class.getName()).log(System.Logger.Level.WARNING,
                "the IOMMU of {0} is not used: its service property {1} is {2}; it must be a text that is not "
                + "empty{3}", label(reference), wrong, properties.get(wrong),
                wrong.equals(Iommu.TYPE) ? ", or several" : "");
        }
    }

    /** A configuration of the provider's own may change its ranking under way. */
    void updatedIommu(Iommu iommu, Map<String, Object> properties) {
        service.rankIommu(iommu, ranking(properties));
    }

    void removeIommu(Iommu iommu) {
        service.removeIommu(iommu);
    }

    @Reference(name = "interrupts", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addController(InterruptController controller, ServiceReference<InterruptController> reference) {
        service.addController(controller, label(reference));
    }

    void removeController(InterruptController controller) {
        service.removeController(controller);
    }

    @Reference(name = "strategy", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addStrategy(MsiStrategy strategy, Map<String, Object> properties) {
        service.addStrategy(strategy, ranking(properties));
    }

    /** A configuration of the strategy's own may change its ranking under way. */
    void updatedStrategy(MsiStrategy strategy, Map<String, Object> properties) {
        service.addStrategy(strategy, ranking(properties));
    }

    void removeStrategy(MsiStrategy strategy) {
        service.removeStrategy(strategy);
    }

    @Reference(name = "function", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addFunction(PciFunction function) {
        service.addFunction(function);
    }

    void removeFunction(PciFunction function) {
        service.removeFunction(function);
    }

    @Reference(name = "swaps", cardinality = ReferenceCardinality.MULTIPLE, policy = ReferencePolicy.DYNAMIC)
    void addSwapListener(SwapListener listener) {
        service.addSwapListener(listener);
    }

    void removeSwapListener(SwapListener listener) {
        service.removeSwapListener(listener);
    }

    private static int ranking(Map<String, Object> properties) {
        return properties.get(Constants.SERVICE_RANKING) instanceof Integer ranking ? ranking : 0;
    }

    /** {@return the bundle and its version: who swaps sees what has come in its place} */
    private static String label(ServiceReference<?> reference) {
        Bundle bundle = reference.getBundle();
        return bundle == null ? "a provider that has gone" : bundle.getSymbolicName() + ' ' + bundle.getVersion();
    }

    @Override
    public List<Group> groups() {
        return service.groups();
    }

    @Override
    public Group group(int number) {
        return service.group(number);
    }

    @Override
    public Group groupOf(String device) {
        return service.groupOf(device);
    }

    @Override
    public List<String> iommuTypes() {
        return service.iommuTypes();
    }

    @Override
    public Container openContainer(String name) {
        return service.openContainer(name);
    }

    @Override
    public List<Container> containers() {
        return service.containers();
    }

    @Override
    public EventFd eventFd() {
        return service.eventFd();
    }

    @Override
    public List<Fault> faults() {
        return service.faults();
    }

    @Override
    public long faultCount() {
        return service.faultCount();
    }

    @Override
    public List<Violation> violations() {
        return service.violations();
    }

    @Override
    public <E extends Extension<Vfio>> Optional<E> extension(Class<E> extension) {
        return service.extension(extension);
    }
}
