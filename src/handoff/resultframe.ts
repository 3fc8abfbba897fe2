import type { SourceKind } from '../page/index.ts'
import type { SpentBytes } from './ledger.ts'
import { badFrame } from './wire.ts'

/** What the incoming end reports when all is done. */
export interface IncomingReport {
  /** Bytes of the stream that its QEMU took, every one under a matching digest. */
  streamBytes: number
  refsFilledBy: Record<SourceKind, number>
  /** What came from other hosts than the source meanwhile. */
  peerBytes: number
  spent: SpentBytes
}

export function encodeReport(report: IncomingReport): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(report))
}

/** Throws PagemeshError `bad-frame` on anything else than a report. */
export function decodeReport(bytes: Uint8Array): IncomingReport {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw badFrame('its result is no JSON')
  }
  const { streamBytes, refsFilledBy, peerBytes, spent } = (value ?? {}) as Record<string, unknown>
  return {
    streamBytes: countIn({ streamBytes }, 'streamBytes'), peerBytes: countIn({ peerBytes }, 'peerBytes'),
    refsFilledBy: countsIn(refsFilledBy, ['sentBefore', 'resident', 'store', 'peer', 'source']),
    spent: countsIn(spent, ['report', 'gossip', 'swap']),
  }
}

function countsIn<Name extends string>(value: unknown, names: readonly Name[]): Record<Name, number> {
  const counts = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>
  return Object.fromEntries(names.map((name) => [name, countIn(counts, name)])) as Record<Name, number>
}

function countIn(counts: Record<string, unknown>, name: string): number {
  const count = counts[name]
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) throw badFrame('its result lacks a count')
  return count
}
