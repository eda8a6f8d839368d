// SPDX-License-Identifier: Apache-2.0
package itest.bad;

/** A component of a bundle that misbehaves. */
public final class Part {
    /** Built by Declarative Services. */
    public Part() {
        Misbehaviour.at("constructor");
    }

    void activate() {
        Misbehaviour.at("activate");
    }

    void deactivate() {
        Misbehaviour.at("deactivate");
    }
}
