/** Ports from `first` to `last`, inclusive. */
export interface PortRange {
  first: number
  last: number
}

/** Lower ports belong to a machine's services; listening there takes a capability. */
export const UNPRIVILEGED_PORT_MIN = 1024
const PORT_MAX = 65_535

/** Parses `49152-49215` or `8102`; undefined for anything else, and for ports below 1024. Pure. */
export function parsePortRange(written: unknown): PortRange | undefined {
  if (typeof written !== 'string' && typeof written !== 'number') return undefined
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(written))
  if (match === null) return undefined
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  return first >= UNPRIVILEGED_PORT_MIN && first <= last && last <= PORT_MAX ? { first, last } : undefined
}

export function formatPortRange({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`
}

export function isPortIn(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last)
}

/** Whether any two ranges have a port in common. */
export function doOverlap(ranges: readonly PortRange[]): boolean {
  const sorted = [...ranges].sort((one, other) => one.first - other.first)
  return sorted.some(({ first }, index) => index > 0 && first <= sorted[index - 1]!.last)
}
