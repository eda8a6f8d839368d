// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.charset.StandardCharsets;
import machine.api.Errno;
import machine.api.ErrnoException;

/** QEMU's management protocol, JSON both ways. Any thread; several wait in one queue. Events are dropped. */
public final class Qmp {
    /** The reply to one command, or the greeting. */
    private static final class Reply extends Connection.Pending {
        private JsonObject json;

        @Override
        boolean line(byte[] buffer, int from, int to) {
            json = parse(buffer, from, to);
            return true;
        }

        static JsonObject parse(byte[] buffer, int from, int to) {
            return JsonParser.parseString(new String(buffer, from, to - from, StandardCharsets.UTF_8))
                .getAsJsonObject();
        }
    }

    private final Connection connection;
    private String version = "";

    Qmp(Connection connection) {
        this.connection = connection;
    }

    /** {@return QEMU's version from its greeting, e.g. {@code 7.2.22}} */
    public String version() {
        return version;
    }

    /** As {@link #execute(String, JsonObject)}, without arguments. */
    public JsonElement execute(String command) {
        return execute(command, new JsonObject());
    }

    /**
     * Executes a command.
     *
     * @return what it returns
     * @throws ErrnoException EIO if QEMU refuses it, with QEMU's class and description of the error, or is gone
     */
    public JsonElement execute(String command, JsonObject arguments) {
        JsonObject request = new JsonObject();
        request.addProperty("execute", command);
        request.add("arguments", arguments);
        Reply reply = new Reply();
        byte[] bytes = (request + "\n").getBytes(StandardCharsets.UTF_8);
        connection.request(bytes, bytes.length, reply);
        if (reply.json.has("error")) {
            JsonObject error = reply.json.getAsJsonObject("error");
            throw new ErrnoException(Errno.EIO, "QEMU refused %s %s: %s: %s", command, arguments,
                error.get("class").getAsString(), error.get("desc").getAsString());
        }
        return reply.json.get("return");
    }

    /** {@return what a command of the human monitor prints; its errors are text, too} */
    public String hmp(String command) {
        JsonObject arguments = new JsonObject();
        arguments.addProperty("command-line", command);
        return execute("human-monitor-command", arguments).getAsString();
    }

    /** {@return the value of a QOM property} */
    public JsonElement get(String path, String property) {
        JsonObject arguments = new JsonObject();
        arguments.addProperty("path", path);
        arguments.addProperty("property", property);
        return execute("qom-get", arguments);
    }

    /** Waits for the greeting and begins. Before that QEMU takes no commands. */
    void begin() {
        Reply greeting = new Reply();
        connection.expect(greeting);
        connection.start();
        connection.await(greeting);
        JsonObject number = greeting.json.getAsJsonObject("QMP").getAsJsonObject("version").getAsJsonObject("qemu");
        version = number.get("major").getAsInt() + "." + number.get("minor").getAsInt() + '.'
            + number.get("micro").getAsInt();
        execute("qmp_capabilities");
    }

    /** An event. */
    boolean unasked(byte[] buffer, int from, int to) {
        return Reply.parse(buffer, from, to).has("event");
    }
}
