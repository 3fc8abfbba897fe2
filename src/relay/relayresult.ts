import type { IncomingSummary, SpentBytes } from '../conversation/index.ts'
import type { OutgoingPassageCounts } from '../passage/index.ts'
import { addStreams, failedResult, ledgerOf, type RelayResult } from '../transfer/index.ts'
import type { RelayEnding, RelayOutcome } from './messages.ts'

/** Stands for the name of an unknown guest. */
export const UNKNOWN_GUEST = '(unknown)'

/** The result of a relayed migration. The guest's pause cannot be measured here: no downtime is claimed. Pure. */
export function relayResult(
  about: { guest: string | undefined; from: string; to: string; mode: RelayResult['mode'] },
  ending: RelayEnding,
  { totalMs, sentBytes, receivedBytes, channels, summary, spent, apart }: {
    totalMs: number
    /** Of everything except passages. */
    sentBytes: number
    receivedBytes: number
    channels: readonly OutgoingPassageCounts[]
    summary: IncomingSummary | undefined
    spent: SpentBytes
    apart?: string | undefined
  },
): RelayResult {
  const { guest = UNKNOWN_GUEST, from, to, mode } = about
  const result: RelayResult = {
    ...failedResult({ guest, from, to, mode }),
    ...ending,
    totalMs: Math.round(totalMs),
    wireBytes: channels.reduce((sum, channel) => sum + channel.sentBytes, sentBytes),
    receivedWireBytes: channels.reduce((sum, channel) => sum + channel.receivedBytes, receivedBytes),
    ...(apart === undefined ? {} : { apart }),
  }
  addStreams(result, { channels, summary, spent })
  return result
}

/**
 * The same as its destination saw it, which does not know how the other pages travelled, nor the source's spending.
 * Bytes on the wire are named as at the source. Pure.
 */
export function arrivalResult(
  about: { guest: string | undefined; from: string; to: string },
  { outcome, totalMs, traffic, summary, channels, spent }: {
    /** The outcome that the source's host told; undefined if it has not. */
    outcome: RelayOutcome | undefined
    totalMs: number
    traffic: { sentBytes: number; receivedBytes: number }
    summary: Pick<IncomingSummary, 'streamBytes' | 'refsFilledBy' | 'peerBytes'>
    channels: number
    spent: SpentBytes
  },
): RelayResult {
  const { guest = UNKNOWN_GUEST, from, to } = about
  const { streamBytes: qemuBytes, refsFilledBy, peerBytes } = summary
  const bytes = { qemuBytes, wireBytes: traffic.receivedBytes, receivedWireBytes: traffic.sentBytes, peerBytes }
  const empty = failedResult({ guest, from, to, mode: 'precopy' })
  return {
    ...empty,
    ...outcome ?? { status: 'unknown', code: 'not-told', reason: `${from} has not told the outcome.` },
    ...bytes, totalMs: Math.round(totalMs), channels, refsFilledBy,
    ledger: ledgerOf(bytes, { source: empty.ledger.spentBytes.source, destination: spent }),
  }
}
