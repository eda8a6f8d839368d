// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import irq.api.InterruptHandler;
import irq.api.MsiBank;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Node;
import machine.api.Requester;
import machine.api.TranslationUnit;
import machine.api.Unit;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;

/** A QorIQ board reduced to the road: memory, one PAMU, one MPIC with one MSI bank, and one device, LIODN 193. */
final class QoriqBoard {
    static final int LIODN = 193;
    private static final long APERTURE = 1L << 30;
    private static final long CCSR = 0xf_fe00_0000L;
    /** The MPIC's register that says which core asks: the plainest there is. */
    static final long WHOAMI = CCSR + 0x40000 + 0x20090;
    private static final String PIC = "/soc/pic@40000";
    private static final String INSTANCE = "/soc/iommu@20000/pamu@0";
    private static final Requester REQUESTER = new Requester(LIODN, INSTANCE, 0);

    final LocalMachine machine;
    final TranslationUnit pamu;
    private final PamuDriver iommu;
    private final MpicDriver mpic;
    private final int windows;
    private final IommuDomain domain;

    /** @param windows a power of two from 8 to 256; all but the last are mapped, 64 KiB each */
    QoriqBoard(int windows) {
        this.windows = windows;
        Node instance = Node.at(INSTANCE).registers(new Node.Range(CCSR + 0x20000, 0x1000));
        Node iommuNode = Node.at("/soc/iommu@20000").compatible("fsl,pamu")
            .registers(new Node.Range(CCSR + 0x20000, 0x1000))
            .children(instance);
        Node pic = Node.at(PIC).compatible("fsl,mpic").registers(new Node.Range(CCSR + 0x40000, 0x40000));
        List<Wire> sources = new ArrayList<>();
        for (int source = 0xe0; source < 0xe8; source++) {
            sources.add(new Wire(PIC, source, false, source + " 0 0 0"));
        }
        Node bank = Node.at("/soc/msi@41600").compatible("fsl,mpic-msi")
            .registers(new Node.Range(CCSR + 0x41600, 0x200), new Node.Range(CCSR + 0x44140, 4))
            .interrupts(sources.toArray(Wire[]::new))
            .with("msi-available-ranges", 0, 0x100);
        Node guts = Node.at("/soc/global-utilities@e0000").compatible("fsl,qoriq-device-config-1.0")
            .registers(new Node.Range(CCSR + 0xe0000, 0xe00));
        machine = TestBoard.named("bench board").memory(0, 4L << 30).free(0x10_0000, (4L << 30) - 0x10_0000)
            .nodes(iommuNode, pic, bank, guts).machine();
        Unit unit = Pamu.unit(machine, iommuNode, PamuModel.DEFAULT);
        machine.attach(iommuNode, unit);
        pamu = unit.translations().get(INSTANCE);
        machine.attach(pic, new Mpic(MpicModel.of(machine, pic, 0), machine.cpus()).unit(pic));
        mpic = new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (what, cause) -> {
            throw new IllegalStateException(what, cause);
        });
        iommu = new PamuDriver(machine, iommuNode, PamuSettings.DEFAULT);
        domain = iommu.open();
        domain.set(new Geometry(0, APERTURE));
        domain.set(new Windows(windows));
        domain.attach(REQUESTER);
        DmaBuffer buffer = machine.memory().allocate(0x1_0000, 0x1_0000, DmaMemory.Layout.CONTIGUOUS);
        for (int i = 0; i < windows - 1; i++) {
            domain.map(window(i), buffer, 0, 0x1_0000, Access.READ_WRITE);
        }
    }

    /** {@return the first device address of a window} */
    long window(int number) {
        return APERTURE / windows * number;
    }

    DmaPort port() {
        return machine.openPort(REQUESTER);
    }

    /** Puts a handler behind an MSI. {@return what the device writes where} */
    long[] message(InterruptHandler handler) {
        MsiBank bank = mpic.doorbells().banks().get(0);
        MsiVector vector = mpic.doorbells().allocate(new MsiRequest(LIODN, List.of(bank.index()), handler));
        long iova = window(windows - 1);
        domain.mapDoorbell(iova, bank.page(), bank.length());
        return new long[] {iova + mpic.doorbells().compose(vector).offset(), mpic.doorbells().compose(vector).data()};
    }
}
