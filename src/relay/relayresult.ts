import type { IncomingReport, SpentBytes } from '../conversation/index.ts'
import type { OutgoingPassageCounts } from '../passage/index.ts'
import { addStreams, failedResult, type RelayResult } from '../transfer/index.ts'
import type { RelayEnding } from './messages.ts'

/** What stands for the name of a guest that is not known. */
export const UNKNOWN_GUEST = '(unknown)'

/** What a relayed migration came to. Its pause cannot be told from here: no downtime is claimed. Pure. */
export function relayResult(
  about: { guest: string | undefined; from: string; to: string; mode: RelayResult['mode'] },
  ending: RelayEnding,
  { totalMs, sentBytes, receivedBytes, channels, report, spent }: {
    totalMs: number
    /** Of all that is no passage. */
    sentBytes: number
    receivedBytes: number
    channels: readonly OutgoingPassageCounts[]
    report: IncomingReport | undefined
    spent: SpentBytes
  },
): RelayResult {
  const { guest = UNKNOWN_GUEST, from, to, mode } = about
  const result: RelayResult = {
    ...failedResult({ guest, from, to, mode }),
    ...ending,
    totalMs: Math.round(totalMs),
    wireBytes: channels.reduce((sum, channel) => sum + channel.sentBytes, sentBytes),
    receivedWireBytes: channels.reduce((sum, channel) => sum + channel.receivedBytes, receivedBytes),
  }
  addStreams(result, { channels, report, spent })
  return result
}
