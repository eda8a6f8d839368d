// SPDX-License-Identifier: Apache-2.0
package device.edu;

import java.util.Hashtable;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.PciFunction;
import machine.api.Slot;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.ConfigurationPolicy;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;

/**
 * One device per configuration {@code device.edu~name}, as a service {@link PciFunction} with the properties {@value
 * #NAME} (its address, which only the machine knows, hence the registration by hand) and {@value #SLOT}.
 */
@Component(name = "device.edu", service = {}, configurationPolicy = ConfigurationPolicy.REQUIRE)
@Designate(ocd = EduComponent.Config.class, factory = true)
@Capability(namespace = "osgi.service", attribute = "objectClass:List<String>=\"machine.api.PciFunction\"", uses = PciFunction.class)
public final class EduComponent {
    /** Service property, String: {@link PciFunction#name}. */
    static final String NAME = "device.name";
    /** Service property, String: the name of its slot. */
    static final String SLOT = "device.slot";

    /** Where the device is plugged in, and what it can do. */
    @ObjectClassDefinition(name = "device.edu", description = "A PCI device compatible with QEMU's edu")
    public @interface Config {
        /** The slot by its name, e.g. {@code pcie0}. Must be given. */
        @AttributeDefinition(description = "Name of the machine's slot, e.g. pcie0")
        String slot();

        /** PCI device number, 0..31. */
        @AttributeDefinition(description = "PCI device number, 0..31")
        int device() default 0;

        /** PCI function number, 0..7. */
        @AttributeDefinition(description = "PCI function number, 0..7")
        int function() default 0;

        /** Address lines the device has, 2^n - 1; DMA addresses are cut to them. */
        @AttributeDefinition(description = "DMA addresses are cut to this mask, 2^n - 1")
        long dma_mask() default EduSettings.QEMU_DMA_MASK;

        /** Milliseconds between the DMA command and the transfer. */
        @AttributeDefinition(description = "Milliseconds between the DMA command and the transfer, 0..60000")
        int dma_delay_millis() default 0;
    }

    private final Machine machine;
    private Edu edu;
    private ServiceRegistration<PciFunction> registration;

    /**
     * Built by Declarative Services. Plugs nothing in yet: what has been built when the machine goes is dropped without another call.
     */
    @Activate
    public EduComponent(@Reference(name = "machine") Machine machine) {
        this.machine = machine;
    }

    /** Plugs the device in and offers it. Errors as {@link Edu}; ENODEV if the machine has no slot of that name. */
    @Activate
    void activate(Config config, BundleContext context) {
        EduSettings settings = new EduSettings(config.dma_mask(), config.dma_delay_millis());
        Slot slot = slot(machine, config.slot());
        edu = new Edu(machine, slot, config.device(), config.function(), settings);
        try {
            Hashtable<String, Object> properties = new Hashtable<>();
            properties.put(NAME, edu.name());
            properties.put(SLOT, slot.name());
            registration = context.registerService(PciFunction.class, edu, properties);
        } catch (RuntimeException | Error e) {
            edu.close();
            throw e;
        }
    }

    /** Takes the offer back, then the device out. */
    @Deactivate
    public void close() {
        try {
            registration.unregister();
        } finally {
            edu.close();
        }
    }

    private static Slot slot(Machine machine, String name) {
        List<Slot> slots = machine.slots();
        for (Slot slot : slots) {
            if (slot.name().equals(name)) {
                return slot;
            }
        }
        throw new ErrnoException(Errno.ENODEV, "no slot '%s' in %s; it has %s", name, machine.model(),
            slots.stream().map(Slot::name).toList());
    }
}
