/**
 * A running VM: its memory, read-only, and its migration, through QMP. Tests and other hypervisors implement the same
 * two interfaces.
 */
export {
  areBesideChannels, areChannelsPossible, countOfChannels, MAIN_ONLY, CHANNELS_MAX, type BesideChannels,
} from './channels.ts'
export {
  isMachineDescription, type BlockDescription, type DeviceDescription, type DeviceList, type MachineDescription,
} from './description.ts'
export {
  discoverGuests, type DiscoveredGuest, type GuestDiscovery, type GuestDiscoveryInit, type UnusableGuest,
} from './discovery.ts'
export type { Guest, GuestState } from './guest.ts'
export { discoverAll, type AllDiscoveryInit } from './joineddiscovery.ts'
export { findLayout, type FoundLayout } from './layout.ts'
export type { GuestMemory, ProcessMemoryBlock, ProcessMemoryLayout, RamBlock } from './memory.ts'
export type {
  IncomingMigration, MigrationMode, MigrationNews, MigrationProgress, MigrationSide, OpenInit, OutgoingMigration,
  PrepareOptions,
} from './migration.ts'
export { holdsSocket, otherEndOf, type OtherEnd } from './otherend.ts'
export { isAlive, readStartTicks, type ProcessIdentity } from './process.ts'
export { openProcessMemory } from './processmemory.ts'
export { connectQmp, type QmpClient, type QmpEvent, type QmpOptions } from './qmp.ts'
export { MANAGERS, type Manager, type QemuArguments } from './qemuarguments.ts'
export { qemuVersionAt } from './qemuversion.ts'
export { scanQemus, type Managed, type ProcessScan, type ScannedQemu } from './qemuscan.ts'
export { QmpIncomingDriver } from './incomingdriver.ts'
export { QmpOutgoingDriver } from './outgoingdriver.ts'
export type { DriverComponents, DriverInit, DriverNews } from './qmpdriver.ts'
export { removeStaleRooms } from './room.ts'
export type { SettingsUndo } from './settings.ts'
export { createSocketEndpoint, openHandedEndpoint } from './socketendpoint.ts'
