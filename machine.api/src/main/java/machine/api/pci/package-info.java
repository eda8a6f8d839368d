// SPDX-License-Identifier: Apache-2.0
/**
 * The config space of PCI functions, for each of those who look at it: {@link machine.api.pci.ConfigHeader} says where
 * things are, {@link machine.api.pci.MsiCapability} finds and programs a function's MSI, and
 * {@link machine.api.pci.ModelConfig} is the config space of a device model (decision 37). Rules: PCI Local Bus 3.0,
 * chapter 6.
 */
@Export
@Version("1.0.0")
package machine.api.pci;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
