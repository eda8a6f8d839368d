// SPDX-License-Identifier: Apache-2.0
package irq.apic;

/**
 * Register offsets and bit fields of a local APIC (xAPIC) and of the message that a device writes. Registers are 32
 * bits wide, at multiples of 16 bytes, little-endian.
 *
 * <pre>
 *  message address   31        20 19         12 11      5  4  3  2  1 0
 *                   |   0xFEE    | destination |    0    | 0 |RH|DM| 0 |
 *  message data      31     16 15 14 13   11 10   8 7         0
 *                   |    0    |TM|L |   0   | mode |  vector   |
 *  ICR low           31  20 19 18 17 16 15 14 13 12 11 10   8 7         0
 *                   |   0  |short|  0  |TM|L |0 |DS|DM| mode |  vector   |
 * </pre>
 */
public final class ApicRegisters {
    /** Bytes of the page of one core; core n's page is at the range's start + n * this. */
    public static final int PAGE = 0x1000;
    /** Bytes of the whole range: one page for each value of the destination field. */
    public static final int RANGE = 0x100000;

    /** APIC id in bits 31:24. Read-only. */
    public static final int ID = 0x20;
    /** Version in bits 7:0, number of the highest local vector table entry in 23:16. Read-only. */
    public static final int VERSION = 0x30;
    /** Task priority, bits 7:0. */
    public static final int TASK_PRIORITY = 0x80;
    /** Processor priority, bits 7:0. Read-only. */
    public static final int PROCESSOR_PRIORITY = 0xa0;
    /** End of interrupt: any write ends the highest one in service. */
    public static final int END_OF_INTERRUPT = 0xb0;
    /** Logical destination, bits 31:24. */
    public static final int LOGICAL_DESTINATION = 0xd0;
    /** Destination format, bits 31:28: 1111 flat, 0000 cluster. The others read as ones. */
    public static final int DESTINATION_FORMAT = 0xe0;
    /** {@link #ENABLE} and the spurious vector in bits 7:0. */
    public static final int SPURIOUS = 0xf0;
    /** First of eight: in service. */
    public static final int IN_SERVICE = 0x100;
    /** First of eight: trigger mode, 1 for level. */
    public static final int TRIGGER_MODE = 0x180;
    /** First of eight: requested. */
    public static final int REQUEST = 0x200;
    /** Errors; a write latches those that have come up since the last write. */
    public static final int ERROR_STATUS = 0x280;
    /** Command of an interrupt between cores; the write sends it. */
    public static final int COMMAND_LOW = 0x300;
    /** Its destination, bits 31:24. */
    public static final int COMMAND_HIGH = 0x310;
    /** First of six local vector table entries. */
    public static final int LOCAL_VECTOR_TABLE = 0x320;
    /** Last of them. */
    public static final int LOCAL_VECTOR_TABLE_LAST = 0x370;
    /** Initial count of the timer. */
    public static final int TIMER_INITIAL = 0x380;
    /** Current count of the timer. Read-only. */
    public static final int TIMER_CURRENT = 0x390;
    /** Divider of the timer. */
    public static final int TIMER_DIVIDE = 0x3e0;
    /**
     * Gantry's own, at an offset that xAPIC reserves: a read is the core's interrupt acknowledge cycle, which on a chip
     * is no register access. It answers with the vector and moves it from requested to in service, or with the spurious
     * vector if nothing is offered.
     */
    public static final int ACKNOWLEDGE = 0x3f0;

    /** In {@link #SPURIOUS}: the APIC is enabled by software. */
    public static final int ENABLE = 1 << 8;
    /** In a local vector table entry: masked. */
    public static final int MASKED = 1 << 16;
    /** In {@link #ERROR_STATUS}: a vector below 16 was to be sent. */
    public static final int SEND_ILLEGAL_VECTOR = 1 << 5;
    /** In {@link #ERROR_STATUS}: a vector below 16 arrived. */
    public static final int RECEIVE_ILLEGAL_VECTOR = 1 << 6;
    /** In {@link #ERROR_STATUS}: there is no such register. */
    public static final int ILLEGAL_REGISTER = 1 << 7;

    /** Lowest vector that can be raised. */
    public static final int FIRST_LEGAL_VECTOR = 16;
    /** Destination of all cores. */
    public static final int BROADCAST = 0xff;
    /** Shift of the destination in a message's address. */
    public static final int DESTINATION_SHIFT = 12;
    /** In a message's address: to one core of the destination. */
    public static final int REDIRECTION_HINT = 1 << 3;
    /** In a message's address: the destination is logical. */
    public static final int LOGICAL = 1 << 2;
    /** In a message's address: what must be 0, remapping's format bit 4 included. */
    public static final int ADDRESS_RESERVED = 0xff3;

    /** Delivery mode: raise the vector at the destination. */
    public static final int FIXED = 0;
    /** Delivery mode: raise the vector at one core of the destination. */
    public static final int LOWEST_PRIORITY = 1;
    /** Delivery mode: system management interrupt. */
    public static final int SMI = 2;
    /** Delivery mode: non-maskable interrupt. */
    public static final int NMI = 4;
    /** Delivery mode: INIT. */
    public static final int INIT = 5;
    /** Delivery mode: start-up, between cores only. */
    public static final int STARTUP = 6;
    /** Delivery mode: the vector comes from an 8259. */
    public static final int EXTINT = 7;
    /** Shift of the delivery mode in a message's data and in {@link #COMMAND_LOW}. */
    public static final int MODE_SHIFT = 8;
    /** In a message's data and {@link #COMMAND_LOW}: asserted. */
    public static final int ASSERT = 1 << 14;
    /** In a message's data and {@link #COMMAND_LOW}: level-triggered. */
    public static final int LEVEL = 1 << 15;
    /** In {@link #COMMAND_LOW}: the destination is logical. */
    public static final int COMMAND_LOGICAL = 1 << 11;
    /** Shift of the shorthand in {@link #COMMAND_LOW}: 0 none, 1 self, 2 all, 3 all others. */
    public static final int SHORTHAND_SHIFT = 18;

    private ApicRegisters() {
    }
}
