/**
 * What the two QEMUs of a handoff must agree on, as far as QMP and /proc can tell. Plain JSON of at most
 * DESCRIPTION_BYTES_MAX: it travels to the other host. What a QEMU did not tell is absent, and then no difference.
 */
export interface MachineDescription {
  /** Such as `7.2.22`; told, not compared: the machine type is what must agree. */
  qemuVersion: string
  /** The versioned name, such as `pc-i440fx-7.2`, also where QEMU was started with an alias. */
  machine?: string
  accelerator?: 'kvm' | 'tcg'
  cpus?: { count: number; type?: string }
  blocks: BlockDescription[]
  devices?: DeviceList
  /** Those that must agree between the two ends. */
  capabilities: Record<string, boolean>
  /** Why QEMU could not move it now (`blocked-reasons`). */
  blockers: string[]
  /** Whether QEMU was started with -S. */
  startsPaused: boolean
}

export interface BlockDescription {
  name: string
  /** Bytes in use. */
  bytes: number
  /** What it may grow to: more than `bytes` for one that QEMU fits to what arrives. */
  bytesMax: number
  /** Bytes of a page of what backs it: 4096, or those of a huge page. */
  pageBytes: number
  /** What backs it in QEMU's process: `anonymous`, or the kind of the file system. */
  backing?: string
}

export interface DeviceDescription {
  /** Such as `virtio-net-pci`. */
  type: string
  /** The way to it, such as `slot 03.0, unit 0:0:0`; tells devices of one type apart. */
  place: string
}

/** The first devices by place, and a digest over all of them: the list is cut where it would not fit. */
export interface DeviceList {
  listed: DeviceDescription[]
  count: number
  digest: string
}

/** A control message carries 64 KiB; the rest is for whoever sends the description. */
export const DESCRIPTION_BYTES_MAX = 48 * 1024

/** Things of one kind that another host may name; a machine has far fewer. */
const LISTED_MAX = 4096
const TEXT_LENGTH_MAX = 1024

/** Whether what another host sent is a description: whatever is compared has its type. Pure. */
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
