// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.vtd.Bench;
import iommu.vtd.Bench.Message;
import java.util.List;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** IRTEs as literals in a table at 0x120000; device 00:02.0 sends. */
class InterruptRemapperTest {
    private Bench bench;
    private DmaPort device;
    private int tail;

    private void start(VtdSettings settings, long irta) {
        bench = new Bench(settings);
        device = bench.port(0x10);
        bench.reg8(0xb8, irta);
        bench.command(0x01000000L, 0);
        bench.reg8(0x90, 0x110000);
        bench.command(0x04000000L, 0);
        bench.command(0x02000000L, 0);
        assertEquals(0x07000000L, bench.reg(0x1c));
    }

    private void invalidate(long low) {
        bench.mem(0x110000 + tail, low);
        bench.mem(0x110008 + tail, 0);
        tail += 16;
        bench.reg(0x88, tail);
    }

    private void irte(int index, long low, long high) {
        bench.mem(0x120008 + 16 * index, high);
        bench.mem(0x120000 + 16 * index, low);
    }

    @Test
    @DisplayName("VT-d 6.2: index 0x1234 with SHV is address 0xfee24698; vector 0x41 to APIC 3 comes out as "
        + "0xfee03000/0x0041")
    void workedExample() {
        start(VtdSettings.DEFAULT, 0x12000f);
        irte(0x1234, 0x0000030000410001L, 0x40010);
        assertEquals(Bus.OK, device.write(0xfee24698L, 4, 0));
        assertEquals(List.of(new Message(0x10, 0xfee03000L, 0x41)), bench.messages);
        irte(0x1237, 0x0000030000420001L, 0x40010);
        device.write(0xfee24698L, 4, 3);
        assertEquals(new Message(0x10, 0xfee03000L, 0x42), bench.messages.get(1), "subhandle 3");
        irte(0x8001, 0x0000030000430001L, 0x40010);
        device.write(0xfee00034L, 4, 0xffff_0000L);
        assertEquals(new Message(0x10, 0xfee03000L, 0x43), bench.messages.get(2),
            "handle bit 15; without SHV the data is ignored");
    }

    @Test
    @DisplayName("VT-d 6.4: DM, RH, DLM, TM and 32-bit destinations come out in the compatibility format")
    void fields() {
        start(VtdSettings.DEFAULT, 0x120807);
        irte(1, 0x000001030055003dL, 0);
        device.write(0xfee00030L, 4, 0);
        assertEquals(new Message(0x10, 0xfee0302cL, 0xc155), bench.messages.get(0),
            "lowest priority, level, logical, RH, destination 0x103");
        irte(2, 0xffffffff00410001L, 0);
        device.write(0xfee00050L, 4, 0);
        assertEquals(new Message(0x10, 0xfeeff000L, 0x41), bench.messages.get(1), "broadcast");
        irte(3, 0x0001000000410001L, 0);
        device.write(0xfee00070L, 4, 0);
        assertEquals(2, bench.messages.size(), "no such APIC");
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("VT-d 6.2: fault reasons, index in FI")
    @CsvSource({
        "subhandle upper half,     20, 0xfee00038, 0x10000, 0x0000030000410001, 0x40010, 1",
        "index beyond table,       21, 0xfee02010, 0,       0,                  0,       256",
        "index beyond by subhandle,21, 0xfee00018, 0x100,   0,                  0,       256",
        "not present,              22, 0xfee00030, 0,       0x0000030000410000, 0x40010, 1",
        "reserved 14:12,           24, 0xfee00030, 0,       0x0000030000411001, 0x40010, 1",
        "reserved 31:24,           24, 0xfee00030, 0,       0x0000030001410001, 0x40010, 1",
        "posted,                   24, 0xfee00030, 0,       0x0000030000418001, 0x40010, 1",
        "xAPIC destination,        24, 0xfee00030, 0,       0x0000030100410001, 0x40010, 1",
        "reserved high,            24, 0xfee00030, 0,       0x0000030000410001, 0x140010, 1",
        "another source,           26, 0xfee00030, 0,       0x0000030000410001, 0x40011, 1",
        "SVT 3,                    26, 0xfee00030, 0,       0x0000030000410001, 0xc0010, 1",
        "bus range,                26, 0xfee00030, 0,       0x0000030000410001, 0x80102, 1",
        "compatibility format,     25, 0xfee03000, 0x41,    0,                  0,       0"})
    void faults(String what, int reason, String address, String data, String low, String high, int index) {
        start(VtdSettings.DEFAULT, 0x120007);
        irte(1, Long.decode(low), Long.decode(high));
        device.write(Long.decode(address), 4, Long.decode(data));
        assertEquals((long) index << 48, bench.reg8(0x220), what);
        assertEquals(1L << 63 | Long.parseLong("" + reason, 16) << 32 | 0x10, bench.reg8(0x228), what);
        assertEquals(0, bench.messages.size());
        // FPD silences what is found in the entry.
        if (reason == 24 || reason == 26 || reason == 22) {
            bench.reg(0x22c, 0x80000000L);
            irte(1, Long.decode(low) | 2, Long.decode(high));
            invalidate(4);
            device.write(Long.decode(address), 4, Long.decode(data));
            assertEquals(0, bench.reg(0x34) & 2);
        }
    }

    @Test
    @DisplayName("VT-d 6.2: a table without memory is fault 23")
    void tableUnreachable() {
        start(VtdSettings.DEFAULT, 0x2000_0000_0007L);
        device.write(0xfee00030L, 4, 0);
        assertEquals(0x23, bench.reg(0x22c) & 0xff);
    }

    @ParameterizedTest
    @DisplayName("VT-d 6.1: SVT 1 compares the source id under SQ; SVT 2 the bus, start in 15:8, end in 7:0; SVT 0 "
        + "nothing")
    @CsvSource({"0x40010,0x10,true", "0x40010,0x11,false", "0x50010,0x14,true", "0x50010,0x12,false",
        "0x60010,0x16,true", "0x60010,0x11,false", "0x70010,0x17,true", "0x70010,0x18,false", "0x80002,0x0210,true",
        "0x80002,0x0310,false", "0x80102,0x0010,false", "0x80102,0x0110,true", "0x00099,0x10,true"})
    void sourceVerification(String high, String requester, boolean passes) {
        start(VtdSettings.DEFAULT, 0x120007);
        irte(1, 0x0000030000410001L, Long.decode(high));
        bench.port(Integer.decode(requester)).write(0xfee00030L, 4, 0);
        assertEquals(passes ? 1 : 0, bench.messages.size());
    }

    @Test
    @DisplayName("VT-d 6.3: only aligned 4-byte writes are interrupt requests; with TE on and IRE off they pass to "
        + "0xfeexxxxx as they are")
    void range() {
        start(VtdSettings.DEFAULT, 0x120007);
        assertEquals(Refusal.UNSUPPORTED, device.write(0xfee00030L, 8, 0));
        assertEquals(Refusal.UNSUPPORTED, device.write(0xfee00030L, 2, 0));
        assertEquals(Refusal.UNSUPPORTED, device.read(0xfee00030L, new byte[4], 0, 4));
        assertEquals(Refusal.UNSUPPORTED, bench.units.get(0).translate(0x10, 0xfee00031L, 4, Access.WRITE));
        bench.command(0, 0x02000000L);
        assertEquals(Refusal.BLOCKED, device.write(0xfef00000L, 4, 0), "the range ends there");
        assertEquals(Refusal.BLOCKED, device.write(0xfee03000L, 4, 0x41),
            "neither TE nor IRE: nobody has set the unit up");
        bench.command(0x80000000L, 0);
        assertEquals(Bus.OK, device.write(0xfee03000L, 4, 0x41));
        assertEquals(List.of(new Message(0x10, 0xfee03000L, 0x41)), bench.messages);
        assertEquals(0, bench.reg(0x34));
    }

    @Test
    @DisplayName("the unit's private window takes 4 bytes of a device: a core's write there, or one of another size, "
        + "is no message")
    void privateWindow() {
        start(VtdSettings.DEFAULT, 0x120807);
        irte(1, 0x00007fff00410001L, 0);
        irte(2, 0x0000800000410001L, 0);
        long window = (1L << 60) + (Bench.BASE << 8);
        bench.bus.write(Bus.CPU, window + 0x30, 4, 0);
        bench.bus.write(0x10, window + 0x30, 8, 0);
        assertEquals(List.of(), bench.messages);
        bench.bus.write(0x10, window + 0x50, 4, 0);
        assertEquals(List.of(), bench.messages, "no such APIC");
        bench.bus.write(0x10, window + 0x30, 4, 0);
        assertEquals(List.of(new Message(0x10, 0xfeefffe0L, 0x41)), bench.messages,
            "destination 0x7fff, the last there is");
    }

    @Test
    @DisplayName("VT-d 6.2: compatibility format passes with CFI, but never with EIME")
    void compatibilityFormat() {
        start(VtdSettings.DEFAULT, 0x120007);
        bench.command(0x00800000L, 0);
        device.write(0xfee03000L, 4, 0x41);
        assertEquals(1, bench.messages.size());
        start(VtdSettings.DEFAULT, 0x120807);
        bench.command(0x00800000L, 0);
        device.write(0xfee03000L, 4, 0x41);
        assertEquals(0, bench.messages.size());
        assertEquals(0x25, bench.reg(0x22c) & 0xff);
    }

    @Test
    @DisplayName("VT-d 6.2: entries are cached until IEC invalidation; not-present ones only in caching mode")
    void cache() {
        start(VtdSettings.DEFAULT, 0x120007);
        device.write(0xfee00030L, 4, 0);
        irte(1, 0x0000030000410001L, 0x40010);
        device.write(0xfee00030L, 4, 0);
        assertEquals(1, bench.messages.size());
        irte(1, 0x0000030000420001L, 0x40010);
        device.write(0xfee00030L, 4, 0);
        assertEquals(0x41, bench.messages.get(1).data(), "stale");
        invalidate(0x14L | 1L << 32);
        device.write(0xfee00030L, 4, 0);
        assertEquals(0x42, bench.messages.get(2).data());
        irte(1, 0, 0);
        invalidate(4);
        device.write(0xfee00030L, 4, 0);
        assertEquals(3, bench.messages.size());

        tail = 0;
        start(Bench.with(1 << 7, 0, 0, 0), 0x120007);
        device.write(0xfee00030L, 4, 0);
        irte(1, 0x0000030000410001L, 0x40010);
        device.write(0xfee00030L, 4, 0);
        assertEquals(0, bench.messages.size());
        invalidate(4);
        device.write(0xfee00030L, 4, 0);
        assertEquals(1, bench.messages.size());
    }
}
