// SPDX-License-Identifier: Apache-2.0
package machine.api.pci;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import machine.api.PciFunction;

/** A function that is a config space of bytes, all of which can be written, and the list of who wrote what. */
final class FakeConfig {
    final byte[] bytes = new byte[256];
    final List<String> writes = new ArrayList<>();

    PciFunction function() {
        return (PciFunction) Proxy.newProxyInstance(PciFunction.class.getClassLoader(),
            new Class<?>[] {PciFunction.class}, (self, method, arguments) -> switch (method.getName()) {
                case "readConfig" -> get((int) arguments[0], (int) arguments[1]);
                case "writeConfig" -> {
                    writes.add(String.format("%02x+%d %x", arguments));
                    set((int) arguments[0], (int) arguments[1], (long) arguments[2]);
                    yield null;
                }
                default -> throw new UnsupportedOperationException(method.getName());
            });
    }

    FakeConfig set(int offset, int size, long value) {
        for (int i = 0; i < size; i++) {
            bytes[offset + i] = (byte) (value >>> 8 * i);
        }
        return this;
    }

    long get(int offset, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (bytes[offset + i] & 0xffL) << 8 * i;
        }
        return value;
    }
}
