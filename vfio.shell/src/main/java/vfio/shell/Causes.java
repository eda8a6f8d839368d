// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.lang.reflect.InvocationTargetException;
import java.util.List;
import java.util.concurrent.ExecutionException;
import machine.api.ErrnoException;
import org.osgi.framework.BundleException;

/** The cause of a failure in one line. */
final class Causes {
    private static final int LONGEST = 400;

    private Causes() {
    }

    /** {@return what a user should read of it: wrappers that say nothing themselves give way to what they wrap} */
    static String line(Throwable thrown) {
        Throwable at = thrown;
        while (at.getCause() != null && (at instanceof InvocationTargetException || at instanceof BundleException
                || at instanceof ExecutionException)) {
            at = at.getCause();
        }
        return line(at instanceof ErrnoException || at instanceof BundleException ? at.getMessage() : at.toString());
    }

    /** {@return a stack trace as its first line, or what it was caused by if that says nothing} */
    static String trace(String text) {
        List<String> lines = text.lines().map(String::trim).toList();
        String first = lines.isEmpty() ? "" : lines.get(0);
        if (first.startsWith(InvocationTargetException.class.getName())) {
            first = lines.stream().filter(line -> line.startsWith("Caused by: ")).findFirst()
                .map(line -> line.substring(11)).orElse(first);
        }
        return line(first);
    }

    private static String line(String text) {
        String line = String.valueOf(text).strip().replaceAll("\\s*\\R\\s*", " ");
        return line.length() <= LONGEST ? line : line.substring(0, LONGEST) + " …";
    }
}
