/**
 * The lab: real guests on real QEMU, on hosts that are network namespaces joined by links of a given rate. Tests, the
 * demonstration and the comparison use it:
 *
 *   const network = await createNetwork({ hosts: ['a', 'b'], bytesPerSecond: 125e6 })
 *   const guest = await startGuest({ name: 'web', work: 'web', directory, host: network.host('a') })
 *   await guest.ready()
 *   ...
 *   await guest.stop()
 *   await network.close()
 */
export {
  createLabKey, PAGEMESH, resultOf, runCli, startAgent, type AgentOptions, type CommandOutcome, type LabAgent,
} from './agent.ts'
export { createCluster, type ClusterOptions, type LabCluster } from './cluster.ts'
export { LibvirtCluster, type LibvirtClusterOptions } from './libvirt/cluster.ts'
export type { LibvirtGuest, LibvirtHost } from './libvirt/host.ts'
export { chooseAccelerator } from './machine/accelerator.ts'
export { ensureImage, type GuestImage } from './machine/image.ts'
export { busiestRate, InterfaceWatch, sentBetween, sentDuring } from './machine/interfaces.ts'
export type { Accelerator, MachinePaths, MemoryBackend, Work } from './machine/machine.ts'
export { describeMeasure, measureGuests, type GuestMeasure } from './machine/measure.ts'
export { compareMemory } from './machine/memory.ts'
export { missingForLab } from './machine/missing.ts'
export {
  createNetwork, type LabHost, type LabNetwork, type LinkCounters, type NetworkOptions,
} from './machine/network.ts'
export { ensureQemu, type QemuRelease } from './machine/nextqemu.ts'
export { startProcess, type LabProcess } from './machine/process.ts'
export { startGuest, stateOf, type GuestOptions, type LabGuest } from './machine/qemu.ts'
export { compareArrived, moveByAgent, type AgentMove } from './move.ts'
export {
  clearDirtyLog, migratePlain, MULTIFD_CHANNELS, type PlainMode, type PlainOptions, type PlainResult,
} from './plain.ts'
export { waitFor, type WaitOptions } from './wait.ts'
