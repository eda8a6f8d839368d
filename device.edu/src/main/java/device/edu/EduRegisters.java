// SPDX-License-Identifier: Apache-2.0
package device.edu;

/**
 * The registers in BAR0, as QEMU's description of the device has them.
 * <pre>
 *  00 RO  identification     010000ed
 *  04 RW  liveness           reads back inverted
 *  08 RW  factorial          n in, n! modulo 2^32 out when COMPUTING is clear
 *  20 RW  status             80 INTERRUPT_AFTER_FACTORIAL | 01 COMPUTING (RO)
 *  24 RO  interrupt status   the values that were raised and not acknowledged
 *  60 WO  interrupt raise    sets bits of 24
 *  64 WO  interrupt ack      clears bits of 24
 *  80 RW  DMA source         one of source and destination lies in the buffer at 40000..40fff
 *  88 RW  DMA destination
 *  90 RW  DMA count          bytes
 *  98 RW  DMA command        04 INTERRUPT | 02 TO_MEMORY | 01 RUN
 * </pre>
 * Below 80 accesses have 4 bytes; from 80 on 4 or 8. The DMA registers are 64 bits wide: 4 bytes written clear the
 * upper half, which has no address of its own.
 */
final class EduRegisters {
    static final int IDENTIFICATION = 0x00;
    static final int LIVENESS = 0x04;
    static final int FACTORIAL = 0x08;
    static final int STATUS = 0x20;
    static final int INTERRUPT_STATUS = 0x24;
    static final int INTERRUPT_RAISE = 0x60;
    static final int INTERRUPT_ACKNOWLEDGE = 0x64;
    static final int DMA_SOURCE = 0x80;
    static final int DMA_DESTINATION = 0x88;
    static final int DMA_COUNT = 0x90;
    static final int DMA_COMMAND = 0x98;

    static final int IDENTITY = 0x010000ed;
    static final int COMPUTING = 0x01;
    static final int INTERRUPT_AFTER_FACTORIAL = 0x80;
    static final int FACTORIAL_INTERRUPT = 0x001;
    static final int DMA_INTERRUPT = 0x100;
    static final int RUN = 0x1;
    static final int TO_MEMORY = 0x2;
    static final int INTERRUPT = 0x4;
    static final long BUFFER = 0x40000;
    static final int BUFFER_SIZE = 4096;

    private EduRegisters() {
    }

    /** {@return whether the device takes an access of this size there} */
    static boolean accepts(long offset, int size) {
        return size == 4 || size == 8 && offset >= DMA_SOURCE;
    }

    /** {@return whether that many bytes from that device address on lie in the buffer; both are unsigned} */
    static boolean inBuffer(long address, long count) {
        return Long.compareUnsigned(address - BUFFER, BUFFER_SIZE) <= 0
            && Long.compareUnsigned(count, BUFFER_SIZE - (address - BUFFER)) <= 0;
    }
}
