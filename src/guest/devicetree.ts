import { createHash } from 'node:crypto'

import type { DeviceDescription, DeviceList } from './description.ts'

/** How a device's place on its bus is told, by the property that has it. */
const PLACES: readonly [property: RegExp, segment: (value: string) => string][] = [
  [/^addr = (\S+)$/, (addr) => `slot ${addr}`],
  [/^addr [\d.]+, port ([\d.]+),/, (port) => `port ${port}`],
  [/^iobase = \d+ \((\S+)\)$/, (port) => `port ${port}`],
  [/^nr = (\d+)/, (port) => `port ${port}`],
  [/^unit = (\d+)/, (unit) => `unit ${unit}`],
]

interface OpenDevice {
  indent: number
  type: string
  segment: string
  scsi: string[]
}

/**
 * Reads `info qtree`: each device with its place, which is the way to it over its buses. Names that an operator gave
 * to devices and buses are no part of it: no migration knows them. Devices that sit directly on the machine are its
 * type's, and left out.
 */
export function parseDeviceTree(text: string): DeviceDescription[] {
  const devices: DeviceDescription[] = []
  const open: OpenDevice[] = []
  const closeFrom = (indent: number): void => {
    while (open.length > 0 && open.at(-1)!.indent >= indent) {
      const { type, segment, scsi } = open.at(-1)!
      const own = scsi.length === 3 ? `unit ${scsi.join(':')}` : segment
      open.pop()
      const places = [...open.map((device) => device.segment), own].filter((place) => place !== '')
      if (open.length > 0 && !isInnerHalf(type)) devices.push({ type, place: places.join(', ') })
    }
  }
  for (const line of text.split(/\r?\n/)) {
    const words = line.trimStart()
    const indent = line.length - words.length
    if (words === '') continue
    closeFrom(words.startsWith('dev: ') ? indent : indent + (words.startsWith('bus: ') ? 0 : -1))
    const type = /^dev: ([^,]+), id/.exec(words)?.[1]
    if (type !== undefined) open.push({ indent, type, segment: '', scsi: [] })
    else if (open.length > 0) noteProperty(open.at(-1)!, words)
  }
  closeFrom(0)
  return devices.sort((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)
}

/** A virtio device is two in QEMU, one inside the other; the outer one tells all. */
function isInnerHalf(type: string): boolean {
  return /^(virtio|vhost)-.*-device$/.test(type)
}

function noteProperty(device: OpenDevice, line: string): void {
  const scsi = /^(?:channel|scsi-id|lun) = (\d+)/.exec(line)
  if (scsi !== null) device.scsi.push(scsi[1]!)
  for (const [property, segment] of PLACES) {
    const match = property.exec(line)
    if (match !== null && device.segment === '') device.segment = segment(match[1]!)
  }
}

/** The devices as a list of at most `listedMax`, with a digest over all of them. */
export function listDevices(devices: readonly DeviceDescription[], listedMax: number): DeviceList {
  const digest = createHash('sha256').update(devices.map(orderOf).join('\n')).digest('hex')
  return { listed: devices.slice(0, listedMax), count: devices.length, digest }
}

/** Devices are listed in the order of this text. */
export function orderOf({ place, type }: DeviceDescription): string {
  return `${place}\n${type}`
}
