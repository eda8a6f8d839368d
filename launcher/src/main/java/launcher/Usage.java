// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;

/** The usage of a command, made from the annotations of its method. */
final class Usage {
    /**
     * One argument or option of a method.
     *
     * @param names of an option, empty for an argument
     * @param value what stands for its value in capitals; empty for an option without one
     * @param description as its method has it; may be empty
     * @param absent the value of an option that is not given; empty for none
     * @param several whether it may be given as often as one likes
     */
    record Argument(List<String> names, String value, String description, String absent, boolean several) {
        /** {@return the longest of its names, which says most} */
        String name() {
            return names.stream().reduce("", (a, b) -> a.length() > b.length() ? a : b);
        }

        boolean isOption() {
            return !names.isEmpty();
        }

        private String text() {
            return isOption() ? "[" + name() + (value.isEmpty() ? "" : " " + value) + "]"
                : several ? "[" + value + "]..." : value;
        }
    }

    private Usage() {
    }

    /** {@return one line for each way to call a command, such as {@code map [--scattered] CONTAINER IOVA SIZE}} */
    static List<String> lines(Commands.Command command) {
        return command.methods().stream().map(method -> line(command.name(), method)).toList();
    }

    /** {@return how a method is called by that name} */
    static String line(String name, Method method) {
        return Stream.concat(Stream.of(name), arguments(method).stream().map(Argument::text))
            .reduce((a, b) -> a + " " + b).orElseThrow();
    }

    /** {@return what a method takes of a user, in order} */
    static List<Argument> arguments(Method method) {
        List<Argument> arguments = new ArrayList<>();
        for (Parameter parameter : method.getParameters()) {
            if (CommandSession.class.isAssignableFrom(parameter.getType())) {
                continue;
            }
            var option = parameter.getAnnotation(org.apache.felix.service.command.Parameter.class);
            Descriptor descriptor = parameter.getAnnotation(Descriptor.class);
            String description = descriptor == null ? "" : descriptor.value();
            String value = word(parameter, description);
            if (option == null) {
                arguments.add(new Argument(List.of(), value, description, "", parameter.isVarArgs()));
            } else {
                boolean flag = !option.presentValue().equals(org.apache.felix.service.command.Parameter.UNSPECIFIED);
                arguments.add(new Argument(Arrays.asList(option.names()), flag ? "" : value, description,
                    flag ? "" : option.absentValue(), false));
            }
        }
        return arguments;
    }

    /** {@return the parameter's name: its description, if that is one word, else its name in the source} */
    private static String word(Parameter parameter, String description) {
        return (description.matches("[a-z]+") ? description : parameter.getName()).toUpperCase(Locale.ROOT);
    }
}
