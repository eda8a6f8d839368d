// SPDX-License-Identifier: Apache-2.0
package device.edu;

import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.PciFunction;
import machine.api.Slot;
import machine.api.config.ConfigurationReader;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.ConfigurationPolicy;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Modified;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;

/**
 * One device per configuration {@code device.edu~name}, as a service {@link PciFunction} with the properties {@value
 * #NAME} (its address, which only the machine knows, hence the registration by hand) and {@value #SLOT}.
 */
@Component(name = "device.edu", service = {}, configurationPolicy = ConfigurationPolicy.REQUIRE)
@Designate(ocd = EduComponent.Config.class, factory = true)
@Capability(namespace = "osgi.service", attribute = "objectClass:List<String>=\"machine.api.PciFunction\"",
    uses = PciFunction.class)
public final class EduComponent {
    /** Service property, String: {@link PciFunction#name}. */
    static final String NAME = "device.name";
    /** Service property, String: the name of its slot. */
    static final String SLOT = "device.slot";

    /** The device's place and its DMA engine. */
    @ObjectClassDefinition(name = "Device edu", description = "A PCI device compatible with QEMU's edu")
    public @interface Config {
        /**
         * The slot by its name, e.g. {@code pcie0}. Must be given. With another place the device is plugged in there,
         * and out here.
         */
        @AttributeDefinition(name = "Slot",
            description = "name of the machine's slot, e.g. pcie0; must be given; at once, the device moves")
        String slot();

        /** PCI device number, 0..31. */
        @AttributeDefinition(name = "Device", min = "0", max = "31", description = "PCI device number; at once, the "
            + "device moves")
        int device() default 0;

        /** PCI function number, 0..7. */
        @AttributeDefinition(name = "Function", min = "0", max = "7", description = "PCI function number; at once, "
            + "the device moves")
        int function() default 0;

        /**
         * Address lines the device has, 2^n - 1 with n from 12 to 64; DMA addresses are cut to them. From the next
         * transfer on.
         */
        @AttributeDefinition(name = "DMA mask",
            description = "DMA addresses are cut to this mask, 2^n - 1 with n from 12 to 64; -1 is all; from the "
                + "next transfer on")
        long dma_mask() default EduSettings.QEMU_DMA_MASK;

        /** Milliseconds between the DMA command and the transfer. From the next transfer on. */
        @AttributeDefinition(name = "DMA delay", min = "0", max = "60000",
            description = "milliseconds between the DMA command and the transfer; from the next transfer on")
        int dma_delay_millis() default 0;
    }

    private record Place(String slot, int device, int function) {
        static Place of(Map<String, Object> properties) {
            return new Place(String.valueOf(properties.getOrDefault("slot", "")),
                ConfigurationReader.required("device", properties.getOrDefault("device", 0), 0, 31),
                ConfigurationReader.required("function", properties.getOrDefault("function", 0), 0, 7));
        }
    }

    private final Machine machine;
    private final BundleContext context;
    private final Logger log;
    private final ConfigurationReader configuration;
    private Place place;
    private Edu edu;
    private ServiceRegistration<PciFunction> registration;

    /**
     * Built by Declarative Services. Plugs nothing in yet: what has been built when the machine goes is dropped without
     * another call.
     */
    @Activate
    public EduComponent(BundleContext context, @Reference(name = "machine") Machine machine,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.context = context;
        this.machine = machine;
        this.log = log;
        configuration = new ConfigurationReader("device.edu", Config.class, log::error);
    }

    /**
     * Plugs the device in and offers it. What is not legal in the configuration is refused in one line, and its default
     * used; but no place is guessed: with one that the machine does not have, or that is taken, there is no device
     * until the configuration changes.
     */
    @Activate
    void activate(Map<String, Object> properties) {
        EduSettings settings = configuration.read(properties, EduComponent::settings);
        move(properties, settings);
    }

    /**
     * Another configuration. The device stays where it is, with what is mapped and enabled, unless it is given another
     * place. What is not legal, a place too, is refused in one line, and what was there before stays.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        EduSettings settings = configuration.read(properties, EduComponent::settings);
        if (edu != null) {
            edu.change(settings);
        }
        move(properties, settings);
    }

    /** Takes the offer back, then the device out. */
    @Deactivate
    public void close() {
        if (edu == null) {
            return;
        }
        try {
            registration.unregister();
        } finally {
            edu.close();
            edu = null;
        }
    }

    private static EduSettings settings(ConfigurationReader.Values values) {
        return new EduSettings(
            values.number("dma.mask", mask -> (mask & mask + 1) == 0 && Long.compareUnsigned(mask, 0xfff) >= 0,
                "2^n - 1, n from 12 to 64"),
            values.integer("dma.delay.millis", 0, 60_000));
    }

    /**
     * The device at the new place is there before the one at the old place goes: a place that is refused costs nothing.
     */
    private void move(Map<String, Object> properties, EduSettings settings) {
        try {
            Place next = Place.of(properties);
            if (!next.equals(place)) {
                plug(next, settings);
            }
        } catch (ErrnoException e) {
            log.error("device.edu: " + e.getMessage()
                + (edu == null ? "; no device is plugged in" : "; the one at " + edu.name() + " stays"));
        }
    }

    private void plug(Place next, EduSettings settings) {
        Slot slot = slot(machine, next.slot());
        Edu fresh = new Edu(machine, slot, next.device(), next.function(), settings);
        ServiceRegistration<PciFunction> offer;
        try {
            Hashtable<String, Object> properties = new Hashtable<>();
            properties.put(NAME, fresh.name());
            properties.put(SLOT, slot.name());
            offer = context.registerService(PciFunction.class, fresh, properties);
        } catch (RuntimeException | Error e) {
            fresh.close();
            throw e;
        }
        close();
        place = next;
        edu = fresh;
        registration = offer;
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
