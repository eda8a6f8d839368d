// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The protocol of hot swap as a model, in every state it can get into. */
@Timeout(900)
class ProtocolTest {
    private static final int MOST = 6_000_000;

    /** The scopes of every build, and with {@code -Dgantry.protocol=all} those that take minutes. */
    static Stream<String> scopes() {
        Stream<String> each = Stream.of("MEMORY", "HANGING", "MESSAGES", "TWO_MEMORIES", "TWO_MESSAGES");
        return "all".equals(System.getProperty("gantry.protocol"))
            ? Stream.concat(each, Stream.of("TWO_MESSAGES_SWAPPED", "WHOLE", "TWO_HANGING")) : each;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scopes")
    @DisplayName("P1 to P5 and P7 hold in every reachable state, and from each a way leads back to where all is well")
    void holds(String scope) throws ReflectiveOperationException {
        Scope named = (Scope) Scope.class.getDeclaredField(scope).get(null);
        Explorer.Result result = new Explorer<>(new Protocol(named, Flaw.NONE), MOST).explore();
        System.out.println("protocol, " + scope + ": " + result);
        assertEquals("", result.broken(), result::toString);
    }

    @ParameterizedTest(name = "{0}")
    @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NONE")
    @DisplayName("each broken protocol is caught, on the promise that it breaks")
    void caught(Flaw flaw) {
        Explorer.Result result = new Explorer<>(new Protocol(flaw.scope, flaw), MOST).explore();
        assertTrue(!result.broken().isEmpty(), () -> flaw + " was not noticed in " + result);
        assertTrue(result.broken().startsWith(flaw.promise),
            () -> flaw + " was to break " + flaw.promise + ", found " + result);
    }
}
