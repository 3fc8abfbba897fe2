/**
 * Properties that the two QEMUs of a handoff must agree on, from QMP and /proc. Sent to the other host as JSON of at
 * most DESCRIPTION_BYTES_MAX. A property that a QEMU did not report is absent and counts as no difference.
 */
export interface MachineDescription {
  /** Such as `7.2.22`; for information only: the machine types must agree, not the versions. */
  qemuVersion: string
  /** The versioned name, such as `pc-i440fx-7.2`, also where QEMU was started with an alias. */
  machine?: string
  accelerator?: 'kvm' | 'tcg'
  cpus?: { count: number; type?: string }
  blocks: BlockDescription[]
  devices?: DeviceList
  /** Capabilities that must be equal at both ends. */
  capabilities: Record<string, boolean>
  /** QEMU's reasons against a migration now (`blocked-reasons`). */
  blockers: string[]
  /** Whether QEMU was started with -S. */
  startsPaused: boolean
}

export interface BlockDescription {
  name: string
  /** Bytes in use. */
  bytes: number
  /** Size up to which it may grow: more than `bytes` for a block that QEMU resizes at arrival. */
  bytesMax: number
  /** Page size of its backing: 4096, or that of a huge page. */
  pageBytes: number
  /** Its backing in QEMU's process: `anonymous`, or the type of the file system. */
  backing?: string
}

export interface DeviceDescription {
  /** Such as `virtio-net-pci`. */
  type: string
  /** Its path over the buses, such as `slot 03.0, unit 0:0:0`; distinguishes devices of one type. */
  place: string
}

/** The first devices in order of place, and a digest over all of them; the list is cut to fit. */
export interface DeviceList {
  listed: DeviceDescription[]
  count: number
  digest: string
}

/** A control message carries 64 KiB; the rest of it is for the offer's other fields. */
export const DESCRIPTION_BYTES_MAX = 48 * 1024

/** Longest list that another host may send; a machine has far fewer entries. */
const LISTED_MAX = 4096
const TEXT_LENGTH_MAX = 1024

/** Whether a value from another host is a description: all compared fields have their types. Pure. */
export function isMachineDescription(value: unknown): value is MachineDescription {
  if (!isRecord(value)) return false
  const { qemuVersion, machine, accelerator, cpus, blocks, devices, capabilities, blockers, startsPaused } = value
  return isText(qemuVersion) && [machine, accelerator].every((text) => text === undefined || isText(text)) &&
    (cpus === undefined || isCpus(cpus)) &&
    isListOf(blocks, isBlock) && (devices === undefined || isDeviceList(devices)) &&
    isRecord(capabilities) && Object.values(capabilities).every((state) => typeof state === 'boolean') &&
    isListOf(blockers, isText) && typeof startsPaused === 'boolean'
}

function isCpus(value: unknown): boolean {
  return isRecord(value) && isCount(value['count']) && (value['type'] === undefined || isText(value['type']))
}

function isBlock(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { name, bytes, bytesMax, pageBytes, backing } = value
  return isText(name) && [bytes, bytesMax, pageBytes].every(isCount) && (backing === undefined || isText(backing))
}

function isDeviceList(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { listed, count, digest } = value
  return isCount(count) && isText(digest) &&
    isListOf(listed, (device) => isRecord(device) && isText(device['type']) && isText(device['place']))
}

function isListOf(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length <= LISTED_MAX && value.every(isItem)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= TEXT_LENGTH_MAX
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
