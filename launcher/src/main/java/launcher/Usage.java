// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Parameter;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;

/** How a command is called, from what its method says of itself. */
final class Usage {
    /** The scopes of ours; what Gogo brings along describes itself otherwise. */
    static final List<String> SCOPES = List.of("vfio", "irq");

    private final BundleContext context;

    Usage(BundleContext context) {
        this.context = context;
    }

    /** {@return one line for each way to call a command, such as {@code map [--scattered] CONTAINER IOVA SIZE}; empty if it is not ours} */
    List<String> lines(String command) {
        String name = command.substring(command.indexOf(':') + 1);
        for (String scope : command.contains(":") ? List.of(command.substring(0, command.indexOf(':'))) : SCOPES) {
            Optional<Object> commands = SCOPES.contains(scope) ? service(scope, name) : Optional.empty();
            if (commands.isPresent()) {
                return lines(commands.get(), name);
            }
        }
        return List.of();
    }

    /** {@return one line for each method of that name} */
    static List<String> lines(Object commands, String name) {
        return methods(commands, name).stream().map(method -> line(method, name)).toList();
    }

    /** {@return the methods of that name, the one with the fewest parameters first} */
    private static List<Method> methods(Object commands, String name) {
        return Arrays.stream(commands.getClass().getMethods()).filter(method -> method.getName().equalsIgnoreCase(name))
            .sorted((a, b) -> a.getParameterCount() - b.getParameterCount()).toList();
    }

    private static String line(Method method, String name) {
        List<String> words = new ArrayList<>(List.of(name));
        for (java.lang.reflect.Parameter parameter : method.getParameters()) {
            if (CommandSession.class.isAssignableFrom(parameter.getType())) {
                continue;
            }
            Parameter option = parameter.getAnnotation(Parameter.class);
            String value = word(parameter);
            if (option != null) {
                String longest = Arrays.stream(option.names()).reduce("", (a, b) -> a.length() > b.length() ? a : b);
                words.add("[" + longest + (option.presentValue().equals(Parameter.UNSPECIFIED) ? " " + value : "") + "]");
            } else {
                words.add(parameter.isVarArgs() ? "[" + value + "]..." : value);
            }
        }
        return String.join(" ", words);
    }

    /** What it is called by its description, if that is one word, else in the source. */
    private static String word(java.lang.reflect.Parameter parameter) {
        Descriptor descriptor = parameter.getAnnotation(Descriptor.class);
        return (descriptor != null && descriptor.value().matches("[a-z]+") ? descriptor.value() : parameter.getName()).toUpperCase(Locale.ROOT);
    }

    private Optional<Object> service(String scope, String name) {
        try {
            ServiceReference<?>[] found = context.getAllServiceReferences(null, String.format("(&(%s=%s)(%s=%s))",
                CommandProcessor.COMMAND_SCOPE, scope, CommandProcessor.COMMAND_FUNCTION, name));
            return found == null ? Optional.empty() : Optional.ofNullable(context.getService(found[0]));
        } catch (InvalidSyntaxException e) {
            // A word with a parenthesis in it is no command's name.
            return Optional.empty();
        }
    }
}
