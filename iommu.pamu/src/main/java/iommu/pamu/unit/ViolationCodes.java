// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/**
 * The sub-codes of the violation classes in AVS1. Only LAV 1 is public knowledge; the others are this model's choice,
 * and therefore in one place. Software tells violations by class (a field that is not zero), not by these.
 *
 * @param notInTable LAV (1..7): the LIODN's entry lies beyond PPAACT's limit
 * @param entryInvalid LAV: the primary entry has V = 0
 * @param entryMalformed LAV: the primary entry has a value that hardware cannot use
 * @param outsideAperture WAV (1..7): the address lies outside the aperture
 * @param beyondMapping WAV: inside the window, beyond its effective size
 * @param windowInvalid WAV: the secondary entry has V = 0
 * @param windowMalformed WAV: the secondary entry is another LIODN's, of the wrong type, or beyond SPAACT's limit
 * @param readDenied APV (1..15): AP lacks query
 * @param writeDenied APV: AP lacks update
 * @param operationInvalid OTV (1..3): the operation's mapping is not valid
 * @param operationUnknown OTV: no mapping for the operation
 */
public record ViolationCodes(int notInTable, int entryInvalid, int entryMalformed, int outsideAperture,
    int beyondMapping,
        int windowInvalid, int windowMalformed, int readDenied, int writeDenied, int operationInvalid,
    int operationUnknown) {
    /** The model's choice. */
    public static final ViolationCodes MODEL = new ViolationCodes(1, 2, 3, 1, 2, 3, 4, 1, 2, 1, 2);

    /** @throws IllegalArgumentException if a code is zero or does not fit its field */
    public ViolationCodes {
        check(7, notInTable, entryInvalid, entryMalformed, outsideAperture, beyondMapping, windowInvalid,
            windowMalformed);
        check(15, readDenied, writeDenied);
        check(3, operationInvalid, operationUnknown);
    }

    private static void check(int largest, int... codes) {
        for (int code : codes) {
            if (code < 1 || code > largest) {
                throw new IllegalArgumentException("violation code " + code + " is not in 1.." + largest);
            }
        }
    }
}
