// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.Descriptor;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;

/**
 * The commands that are there now, as those who provide them describe them: by their methods' annotations, and by the
 * properties of their service named here, each of which may have one value or several. Nothing is known here of any one
 * command. Any thread.
 */
final class Commands {
    /** Service property: the names of the commands that only look, and print their result in scenarios, too. */
    static final String LOOKS = "gantry.command.looks";
    /** Service property: the groups of its commands in help, {@code to look: machine nodes}. */
    static final String GROUP = "gantry.command.group";
    /**
     * Service property: the possible arguments of a command, see {@link Completion}: {@code open --iommu=(__iommus) -
     * (__devices)...}.
     */
    static final String COMPLETES = "gantry.command.completes";

    /** The scopes of ours; what Gogo brings along describes itself otherwise. */
    static final List<String> SCOPES = List.of("vfio", "irq");
    /** Functions that begin so are for other functions, not for people. */
    private static final String HIDDEN = "_";

    /**
     * A service that provides commands.
     *
     * @param scope of all its commands
     * @param functions their names
     * @param type whose public methods they are; asked for when needed, as the service may have to be made for it
     */
    record Provider(String scope, List<String> functions, List<String> looks, List<String> groups,
        List<String> completes,
            Supplier<Class<?>> type) {
    }

    /**
     * One command.
     *
     * @param group as it is headed in help; empty if its provider says nothing
     * @param arguments what each of its arguments, and of its options, can be; empty if its provider says nothing
     * @param methods its ways to be called, the one with the fewest parameters first
     */
    record Command(String scope, String name, String group, List<String> arguments, List<Method> methods) {
        /** {@return what it does, in one sentence, up to its first semicolon} */
        String description() {
            return methods.stream().map(method -> method.getAnnotation(Descriptor.class)).filter(one -> one != null)
                .findFirst()
                .map(one -> one.value().split("; ", 2)[0]).orElse("");
        }
    }

    private final Supplier<List<Provider>> providers;

    Commands(BundleContext context) {
        this(() -> providers(context));
    }

    Commands(Supplier<List<Provider>> providers) {
        this.providers = providers;
    }

    /** {@return ours, by name} */
    List<Command> ours() {
        return providers.get().stream().filter(provider -> SCOPES.contains(provider.scope))
            .flatMap(provider -> provider.functions.stream().filter(name -> !name.startsWith(HIDDEN))
                .map(name -> command(provider, name)))
            .sorted(Comparator.comparing(Command::name)).toList();
    }

    /**
     * {@return the command of that name that would be called, if its provider describes it as ours do}
     *
     * @param name with or without a scope
     */
    Optional<Command> find(String name) {
        int colon = name.indexOf(':');
        String plain = name.substring(colon + 1);
        return providers.get().stream().filter(provider -> colon < 0 || provider.scope.equals(name.substring(0, colon)))
            .filter(provider -> provider.functions.contains(plain))
            // As sessions look for them: ours first, in this order.
            .min(Comparator.comparingInt(
                provider -> SCOPES.contains(provider.scope) ? SCOPES.indexOf(provider.scope) : SCOPES.size()))
            .map(provider -> command(provider, plain));
    }

    /** {@return the names of those that only look} */
    Set<String> looking() {
        Set<String> names = new TreeSet<>();
        providers.get().forEach(provider -> names.addAll(provider.looks));
        return names;
    }

    private static Command command(Provider provider, String name) {
        String group = provider.groups.stream().map(one -> one.split(":", 2))
            .filter(parts -> parts.length > 1 && List.of(parts[1].trim().split(" +")).contains(name))
            .map(parts -> parts[0].trim())
            .findFirst().orElse("");
        List<String> arguments = provider.completes.stream().map(one -> List.of(one.split(" +")))
            .filter(words -> words.get(0).equals(name))
            .map(words -> words.subList(1, words.size())).findFirst().orElse(List.of());
        return new Command(provider.scope, name, group, arguments, methods(provider.type.get(), name));
    }

    /** {@return the methods of that name, the one with the fewest parameters first} */
    static List<Method> methods(Class<?> type, String name) {
        return Arrays.stream(type.getMethods()).filter(method -> method.getName().equalsIgnoreCase(name))
            .sorted(Comparator.comparingInt(Method::getParameterCount)).toList();
    }

    private static List<Provider> providers(BundleContext context) {
        StringBuilder any = new StringBuilder();
        List.of(LOOKS, GROUP, COMPLETES).forEach(key -> any.append('(').append(key).append("=*)"));
        SCOPES.forEach(
            scope -> any.append('(').append(CommandProcessor.COMMAND_SCOPE).append('=').append(scope).append(')'));
        try {
            ServiceReference<?>[] found = context.getAllServiceReferences(null,
                String.format("(&(%s=*)(%s=*)(|%s))", CommandProcessor.COMMAND_SCOPE, CommandProcessor.COMMAND_FUNCTION,
                    any));
            return found == null ? List.of() : Stream.of(found).map(one -> new Provider(
                String.valueOf(one.getProperty(CommandProcessor.COMMAND_SCOPE)),
                    texts(one.getProperty(CommandProcessor.COMMAND_FUNCTION)),
                texts(one.getProperty(LOOKS)), texts(one.getProperty(GROUP)), texts(one.getProperty(COMPLETES)),
                () -> type(context, one))).toList();
        } catch (InvalidSyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static <T> Class<?> type(BundleContext context, ServiceReference<T> reference) {
        T service = context.getService(reference);
        if (service == null) {
            // It has gone meanwhile, and its commands with it.
            return Object.class;
        }
        context.ungetService(reference);
        return service.getClass();
    }

    private static List<String> texts(Object property) {
        return property == null ? List.of()
            : property instanceof Object[] several ? Stream.of(several).map(String::valueOf).toList()
            : List.of(String.valueOf(property));
    }
}
