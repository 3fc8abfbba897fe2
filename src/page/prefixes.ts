import { ID_BYTES, PREFIX_BYTES } from './size.ts'

/** 64-bit prefixes of ids in halves, as columns: entry i is the i-th of each. */
export interface Prefixes {
  count: number
  high: Uint32Array
  low: Uint32Array
}

/** Writes them one after the other, in their order, from byte `at` on. */
export function writePrefixes(bytes: Buffer, at: number, prefixes: Prefixes): void {
  writeEach(bytes, at, prefixes, PREFIX_BYTES)
}

/** Reads `count` of them from byte `at` on. */
export function readPrefixes(bytes: Buffer, at: number, count: number): Prefixes {
  const prefixes = { count, high: new Uint32Array(count), low: new Uint32Array(count) }
  for (let i = 0; i < count; i++) {
    prefixes.high[i] = bytes.readUInt32BE(at + i * PREFIX_BYTES)
    prefixes.low[i] = bytes.readUInt32BE(at + i * PREFIX_BYTES + 4)
  }
  return prefixes
}

/** Those at these places. */
export function prefixesAt({ high, low }: Prefixes, places: Uint16Array | Uint32Array): Prefixes {
  return {
    count: places.length,
    high: Uint32Array.from(places, (place) => high[place]!),
    low: Uint32Array.from(places, (place) => low[place]!),
  }
}

/** Whether this one is among them. They are in rising order. */
export function isAmong({ count, high, low }: Prefixes, wantedHigh: number, wantedLow: number): boolean {
  let from = 0
  let to = count
  while (from < to) {
    const middle = (from + to) >>> 1
    if (high[middle]! < wantedHigh || (high[middle] === wantedHigh && low[middle]! < wantedLow)) from = middle + 1
    else to = middle
  }
  return from < count && high[from] === wantedHigh && low[from] === wantedLow
}

/** Ids of which only these prefixes are known; the rest of each is zeros. */
export function idsOf(prefixes: Prefixes): Buffer {
  const ids = Buffer.alloc(prefixes.count * ID_BYTES)
  writeEach(ids, 0, prefixes, ID_BYTES)
  return ids
}

function writeEach(bytes: Buffer, at: number, { count, high, low }: Prefixes, entryBytes: number): void {
  for (let i = 0; i < count; i++) {
    bytes.writeUInt32BE(high[i]!, at + i * entryBytes)
    bytes.writeUInt32BE(low[i]!, at + i * entryBytes + 4)
  }
}
