import type { SourceKind } from '../page/index.ts'
import { badFrame } from './wire.ts'

/** What the incoming end reports when all is done. */
export interface IncomingReport {
  /** Bytes of the stream that its QEMU took, every one under a matching digest. */
  streamBytes: number
  refsFilledBy: Record<SourceKind, number>
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
  const { streamBytes, refsFilledBy } = (value ?? {}) as Record<string, unknown>
  const counts = (refsFilledBy ?? {}) as Record<string, unknown>
  const { sentBefore, resident, store, peer, source } = counts
  if (
    !isCount(streamBytes) || !isCount(sentBefore) || !isCount(resident) || !isCount(store) || !isCount(peer) ||
    !isCount(source)
  ) {
    throw badFrame('its result lacks a count')
  }
  return { streamBytes, refsFilledBy: { sentBefore, resident, store, peer, source } }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
