// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

/**
 * Register offsets and bit fields of the MPIC. Registers are 32 bits wide and <b>big-endian</b>; bit 0 is the least
 * significant. Offsets are from the start of the block, which is CCSR + 0x40000. The MSI banks' own registers are in
 * {@link MsiLayout}. (MPIC sections 1 to 4.)
 *
 * <pre>
 *  VPR  31  30  29      24 23  22  21   20 19      16 15                       0
 *      |MSK| A |    0     | P | S |   0   | priority |         vector           |
 *  IDR  31  30                                     n                           0
 *      |EP |CI0|CI1| ... (both before 4.0 only)    | ... |P1|P0: destination core|
 *  ILR  31                                      8 7                             0
 *      |                    0                    | 0 INT, 1 critical, 2 mcheck  |
 *  FRR  31   27 26             16 15  13 12        8 7                          0
 *      |   0   |  last source    |   0  | last core |          version            |
 *  GCR  31    30  29  28                                                        0
 *      |reset| mode  |                              0                            |
 * </pre>
 */
public final class MpicRegisters {
    /** Bytes of the block. */
    public static final int SIZE = 0x40000;

    /** Block revision: the version in bits 15:0, e.g. 0x0402. Read-only. */
    public static final int BRR1 = 0x0000;
    /** Feature reporting. Read-only. */
    public static final int FRR = 0x1000;
    /** Global configuration. */
    public static final int GCR = 0x1020;
    /** Vendor identification: 0, generic. Read-only. */
    public static final int VIR = 0x1080;
    /** Processor initialisation: bit n resets core n. */
    public static final int PIR = 0x1090;
    /** First of four, 16 bytes apart: vector and priority of an interrupt between cores. */
    public static final int IPIVPR = 0x10a0;
    /** Spurious vector: what an acknowledge answers with nothing to deliver. */
    public static final int SVR = 0x10e0;
    /** Timer frequency in Hz; software writes it. */
    public static final int TFRR = 0x10f0;
    /** First of four timers of group A. */
    public static final int TIMER_A = 0x1100;
    /** First of four timers of group B (from version 3.1). */
    public static final int TIMER_B = 0x2100;
    /** Bytes from one timer to the next. */
    public static final int TIMER_STRIDE = 0x40;
    /** In a timer: current count; bit 31 toggles at each expiry. Read-only. */
    public static final int GTCCR = 0x00;
    /** In a timer: base count; bit 31 stops it. */
    public static final int GTBCR = 0x10;
    /** In a timer: vector and priority. */
    public static final int GTVPR = 0x20;
    /** In a timer: destination. */
    public static final int GTDR = 0x30;
    /** Timer control, from the start of a group: rollover, clock ratio, cascade. */
    public static final int TCR = 0x200;
    /** First of four message registers of group A. */
    public static final int MSGR_A = 0x1400;
    /** First of four message registers of group B. */
    public static final int MSGR_B = 0x2400;
    /** Message enable, from the start of a group: bit n for message register n. */
    public static final int MER = 0x100;
    /** Message status, from the start of a group. Read-only. */
    public static final int MSR = 0x110;
    /** Error interrupt summary: bit 31-n for error n (from version 4.1). Read-only. */
    public static final int EISR0 = 0x3900;
    /** Error interrupt mask. */
    public static final int EIMR0 = 0x3910;
    /** First interrupt source. */
    public static final int SOURCE = 0x10000;
    /** Bytes from one source to the next. */
    public static final int SOURCE_STRIDE = 0x20;
    /** In a source: vector and priority. */
    public static final int VPR = 0x00;
    /** In a source: destination. */
    public static final int IDR = 0x10;
    /** In a source: which output (from version 4.0). */
    public static final int ILR = 0x18;
    /** First block of registers of a core; the same registers at 0x0000 belong to the core that asks. */
    public static final int CPU = 0x20000;
    /** Bytes from one core's block to the next. */
    public static final int CPU_STRIDE = 0x1000;
    /** In a core's block: first of four, 16 bytes apart; writing sends an interrupt to the cores of the mask. */
    public static final int IPIDR = 0x40;
    /** In a core's block: task priority, bits 3:0. */
    public static final int CTPR = 0x80;
    /** In a core's block: number of the core. Read-only. */
    public static final int WHOAMI = 0x90;
    /** In a core's block: interrupt acknowledge; reading takes the interrupt. */
    public static final int IACK = 0xa0;
    /** In a core's block: end of interrupt; writing ends the one of the highest priority. */
    public static final int EOI = 0xb0;

    /** In a VPR: masked. */
    public static final int MASKED = 1 << 31;
    /** In a VPR: requested or in service. Read-only. */
    public static final int ACTIVITY = 1 << 30;
    /** In an external source's VPR: active high, or rising edge. */
    public static final int ACTIVE_HIGH = 1 << 23;
    /** In an external source's VPR: level-sensitive. */
    public static final int LEVEL = 1 << 22;
    /** Shift of the priority in a VPR; 0 is never delivered, 15 is the highest. */
    public static final int PRIORITY_SHIFT = 16;
    /** Priority in a VPR. */
    public static final int PRIORITY_MASK = 0xf << PRIORITY_SHIFT;
    /** Vector in a VPR, and in SVR. */
    public static final int VECTOR_MASK = 0xffff;
    /** In an ILR: the output. */
    public static final int OUTPUT_MASK = 0xff;
    /** In an ILR: the core's interrupt pin. */
    public static final int OUTPUT_INT = 0;
    /** In an ILR: the critical interrupt. */
    public static final int OUTPUT_CRITICAL = 1;
    /** In an ILR: the machine check. */
    public static final int OUTPUT_MACHINE_CHECK = 2;
    /** In GCR: reset; clears itself. */
    public static final int RESET = 1 << 31;
    /** In GCR: mode. */
    public static final int MODE_MASK = 3 << 29;
    /** In GCR: mixed mode, the one in which sources reach the cores. */
    public static final int MODE_MIXED = 1 << 29;
    /** In a CTPR: highest priority that is held back. */
    public static final int TASK_PRIORITY_MASK = 0xf;
    /** In a GTBCR and GTCCR: stopped, toggle. */
    public static final int TIMER_TOP = 1 << 31;

    /** Sources below this are external pins, with polarity and sense; the others are inside the chip, always level. */
    public static final int FIRST_INTERNAL = 16;
    /** Source of the first message register. */
    public static final int MSGR_SOURCE = 0xb0;
    /** Most sources that have registers. */
    public static final int MAX_SOURCES = 2048;
    /** Most cores that a destination can name and that have registers. */
    public static final int MAX_CPUS = 32;
    /** First version with ILR; the versions before route critical interrupts by IDR. */
    public static final int VERSION_ILR = 0x0400;
    /** First version in which the mask of a VPR also holds back critical interrupts and machine checks. */
    public static final int VERSION_MASKED_OUTPUTS = 0x0401;
    /** First version with EISR and EIMR. */
    public static final int VERSION_ERRORS = 0x0401;
    /** First version with timer group B. */
    public static final int VERSION_TIMER_B = 0x0301;
    /** The value read where there is no register, and where there is no MPIC. */
    public static final int NO_REGISTER = -1;

    private MpicRegisters() {
    }
}
