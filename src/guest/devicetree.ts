import { createHash } from 'node:crypto'

import type { DeviceDescription, DeviceList } from './description.ts'

/** Properties that hold a device's place on its bus, and how the place is written. */
const PLACES: readonly [property: RegExp, segment: (value: string) => string][] = [
  [/^addr = (\S+)$/, (addr) => `slot ${addr}`],
  [/^addr [\d.]+, port ([\d.]+),/, (port) => `port ${port}`],
  [/^iobase = \d+ \((\S+)\)$/, (port) => `port ${port}`],
  [/^nr = (\d+)/, (port) => `port ${port}`],
  [/^unit = (\d+)/, (unit) => `unit ${unit}`],
]

/** More devices, deeper nesting and longer places are no machine's: they are left out, on both hosts alike. */
const DEVICES_MAX = 10_000
const DEPTH_MAX = 32
const PLACE_LENGTH_MAX = 64
/** Channel, target, unit; a fourth number makes it no SCSI address. */
const SCSI_NUMBERS_MAX = 4

interface OpenDevice {
  indent: number
  type: string
  segment: string
  scsi: string[]
}

/**
 * Parses `info qtree`: each device with its place, which is the path over its buses. Names given by the operator are
 * not part of it, because migration does not use them. Devices directly on the machine belong to its type and are left
 * out.
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
    if (devices.length >= DEVICES_MAX) break
    closeFrom(words.startsWith('dev: ') ? indent : indent + (words.startsWith('bus: ') ? 0 : -1))
    const type = /^dev: ([^,]+), id/.exec(words)?.[1]
    if (type !== undefined && open.length < DEPTH_MAX) open.push({ indent, type: cut(type), segment: '', scsi: [] })
    else if (open.length > 0) noteProperty(open.at(-1)!, words)
  }
  closeFrom(0)
  return devices.sort((a, b) => orderOf(a) < orderOf(b) ? -1 : 1)
}

/** In QEMU a virtio device consists of two nested devices; the outer one suffices. */
function isInnerHalf(type: string): boolean {
  return /^(virtio|vhost)-.*-device$/.test(type)
}

function noteProperty(device: OpenDevice, line: string): void {
  const scsi = /^(?:channel|scsi-id|lun) = (\d+)/.exec(line)
  if (scsi !== null && device.scsi.length < SCSI_NUMBERS_MAX) device.scsi.push(cut(scsi[1]!))
  for (const [property, segment] of PLACES) {
    const match = property.exec(line)
    if (match !== null && device.segment === '') device.segment = segment(cut(match[1]!))
  }
}

function cut(text: string): string {
  return text.slice(0, PLACE_LENGTH_MAX)
}

/** A list of at most `listedMax` devices, with a digest over all of them. */
export function listDevices(devices: readonly DeviceDescription[], listedMax: number): DeviceList {
  const digest = createHash('sha256').update(devices.map(orderOf).join('\n')).digest('hex')
  return { listed: devices.slice(0, listedMax), count: devices.length, digest }
}

/** The sort key of devices. */
export function orderOf({ place, type }: DeviceDescription): string {
  return `${place}\n${type}`
}
