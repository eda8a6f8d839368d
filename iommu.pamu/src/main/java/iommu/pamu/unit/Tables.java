// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/**
 * What the lookup needs of the registers, ready to use; replaced as a whole when one of them is written.
 *
 * @param control PC
 * @param primary PPBA
 * @param primaryBytes PPLA - PPBA, 0 if the limit is not above the base
 * @param secondary SPBA
 * @param secondaryBytes likewise
 * @param operations OBA
 * @param operationBytes likewise
 */
record Tables(int control, long primary, long primaryBytes, long secondary, long secondaryBytes, long operations,
        long operationBytes) {
    static long bytes(long base, long limit) {
        return Long.compareUnsigned(limit, base) > 0 ? limit - base : 0;
    }
}
