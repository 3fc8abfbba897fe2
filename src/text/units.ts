const BYTE_UNITS: Record<string, number> = {
  '': 1, B: 1,
  kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12,
  KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40,
}

const RATE_UNITS: Record<string, number> = {
  bit: 1 / 8, kbit: 1e3 / 8, Kbit: 1e3 / 8, Mbit: 1e6 / 8, Gbit: 1e9 / 8,
  B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30,
}

/** Parses a size such as `2GiB`, `512 MB` or `4096` to bytes; undefined for anything else. */
export function parseBytes(text: string): number | undefined {
  return parseUnit(text, BYTE_UNITS)
}

/** Parses a rate such as `500Mbit` or `100MB/s` to bytes a second; undefined for anything else. */
export function parseRate(text: string): number | undefined {
  return parseUnit(text.replace(/(?:\/s|ps)$/, ''), RATE_UNITS)
}

function parseUnit(text: string, units: Record<string, number>): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text.trim())
  if (match === null) return undefined
  const factor = units[match[2] ?? '']
  if (factor === undefined) return undefined
  const value = Math.round(Number(match[1]) * factor)
  return Number.isSafeInteger(value) ? value : undefined
}

/** Bytes for people: `31.9 MB`, or `-31.9 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 0) return `-${formatBytes(-bytes)}`
  if (bytes < 1e3) return `${bytes} B`
  const units = ['kB', 'MB', 'GB', 'TB']
  let value = bytes / 1e3
  let unit = 0
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1e3
    unit += 1
  }
  return `${value.toFixed(1)} ${units[unit]}`
}

/** A rate for people, in bits a second as network people count: `812 Mbit/s`. */
export function formatRate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8
  if (bits >= 1e9) return `${(bits / 1e9).toFixed(2)} Gbit/s`
  if (bits >= 1e6) return `${(bits / 1e6).toFixed(0)} Mbit/s`
  return `${(bits / 1e3).toFixed(0)} kbit/s`
}

/** A time for people, in one unit: `45 s`, `12 min`, `7 h`, `3 days`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}
