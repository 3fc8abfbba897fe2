import type { BlockDescription, DeviceDescription, DeviceList, MachineDescription } from './description.ts'
import { orderOf } from './devicetree.ts'
import type { MigrationMode } from './migration.ts'

interface Hosts {
  source: string
  destination: string
}

/**
 * Differences that prevent the guest of `source` from moving to `destination`, a sentence each. A property that one
 * side does not report is no difference. Pure.
 */
export function differencesOf(
  source: MachineDescription, destination: MachineDescription, hosts: Hosts, mode: MigrationMode = 'precopy',
): string[] {
  const differ = (what: string, here: unknown, there: unknown): string[] =>
    here === undefined || there === undefined || here === there ? []
      : [`The ${what} is ${String(here)} on ${hosts.source} and ${String(there)} on ${hosts.destination}.`]
  const machine = differ('machine type', source.machine, destination.machine)
  // With another machine type all devices and blocks differ: listing them would hide the cause.
  if (machine.length > 0) return machine
  return [
    ...differ('accelerator', source.accelerator, destination.accelerator),
    ...differ('number of vCPUs', source.cpus?.count, destination.cpus?.count),
    ...differ('CPU model', modelOf(source), modelOf(destination)),
    ...blockDifferences(source.blocks, destination.blocks, hosts, mode),
    ...deviceDifferences(source, destination, hosts),
    ...capabilityDifferences(source, destination, hosts),
  ]
}

function modelOf({ cpus }: MachineDescription): string | undefined {
  return cpus?.type?.replace(/-[^-]+-cpu$/, '')
}

function capabilityDifferences(source: MachineDescription, destination: MachineDescription, hosts: Hosts): string[] {
  return Object.entries(source.capabilities)
    .filter(([name, state]) => (destination.capabilities[name] ?? state) !== state)
    .map(([name, state]) => `The migration capability ${name} is ${state ? 'on' : 'off'} at ${hosts.source} and ` +
      `${state ? 'off' : 'on'} at ${hosts.destination}.`)
}

function blockDifferences(
  source: readonly BlockDescription[], destination: readonly BlockDescription[], hosts: Hosts, mode: MigrationMode,
): string[] {
  const there = new Map(destination.map((block) => [block.name, block]))
  if (there.size === 0) return []
  return source.flatMap((block) => {
    const other = there.get(block.name)
    // QEMU ignores a block that only the destination has.
    if (other === undefined) return [`Memory ${block.name} (${sizeText(block.bytes)}) is on ${hosts.source} only.`]
    if (!fits(block, other)) {
      return [`${block.name} is ${sizeText(block.bytes)} on ${hosts.source} and ${sizeText(other.bytes)} on ` +
        `${hosts.destination}.`]
    }
    if (mode === 'precopy' || block.pageBytes === other.pageBytes) return []
    return [`${block.name} has pages of ${sizeText(block.pageBytes)} on ${hosts.source} and of ` +
      `${sizeText(other.pageBytes)} on ${hosts.destination}, which post-copy cannot move.`]
  })
}

/** Whether QEMU can make the destination's block as large as the source's. */
function fits(source: BlockDescription, destination: BlockDescription): boolean {
  if (source.bytes === destination.bytes) return true
  return destination.bytesMax > destination.bytes && source.bytes <= destination.bytesMax
}

/** A size of memory, not rounded: different sizes must not look equal. */
function sizeText(bytes: number): string {
  if (bytes >= 2 ** 20 && bytes % 2 ** 20 === 0) return `${bytes / 2 ** 20} MiB`
  return bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} bytes`
}

function deviceDifferences(source: MachineDescription, destination: MachineDescription, hosts: Hosts): string[] {
  if (source.devices === undefined || destination.devices === undefined) return []
  if (source.devices.digest === destination.devices.digest) return []
  // QEMU versions may model a machine type's built-in devices differently; devices in slots stay the same.
  const isSameVersion = source.qemuVersion === destination.qemuVersion
  const counted = ({ listed }: { listed: readonly DeviceDescription[] }): DeviceDescription[] =>
    listed.filter(({ place }) => isSameVersion || /^slot [^,]+$/.test(place))
  const here = counted(source.devices)
  const there = counted(destination.devices)
  const found = [
    ...without(within(here, destination.devices), there)
      .map((device) => `${named(device)} is on ${hosts.source} only.`),
    ...without(within(there, source.devices), here)
      .map((device) => `${named(device)} is on ${hosts.destination} only.`),
  ]
  const isCut = source.devices.count > source.devices.listed.length ||
    destination.devices.count > destination.devices.listed.length
  if (found.length > 0 || !isCut || !isSameVersion) return found
  return [`The devices differ: ${hosts.source} has ${source.devices.count} and ` +
    `${hosts.destination} has ${destination.devices.count}.`]
}

/** Those of `devices` that the other side's list could contain: it is cut off after the last listed device. */
function within(devices: readonly DeviceDescription[], { listed, count }: DeviceList): readonly DeviceDescription[] {
  if (count <= listed.length) return devices
  const last = listed.at(-1)
  return last === undefined ? [] : devices.filter((device) => orderOf(device) <= orderOf(last))
}

/** Those of `devices` without a counterpart among `others`. */
function without(devices: readonly DeviceDescription[], others: readonly DeviceDescription[]): DeviceDescription[] {
  const left = new Map<string, number>()
  for (const other of others) left.set(keyOf(other), (left.get(keyOf(other)) ?? 0) + 1)
  return devices.filter((device) => {
    const count = left.get(keyOf(device)) ?? 0
    left.set(keyOf(device), count - 1)
    return count <= 0
  })
}

function keyOf({ type, place }: DeviceDescription): string {
  return `${type} ${place}`
}

function named({ type, place }: DeviceDescription): string {
  const article = /^[aeiou]/.test(type) ? 'An' : 'A'
  return place === '' ? `${article} ${type}` : `${article} ${type} at ${place}`
}
