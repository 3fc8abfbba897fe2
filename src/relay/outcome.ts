import type { StreamMark } from '../qemu/index.ts'
import type { RelayEnding } from './messages.ts'

/** What the main channel of a migration that a manager drives has shown. */
export interface MainChannel {
  /** It is a QEMU migration stream: RAM began, or a post-copy was resumed. */
  isMigration: boolean
  /** RAM's last section passed. */
  hasRamEnded: boolean
  /** The device package of a post-copy passed: the guest may run at the destination. */
  isPostcopy: boolean
  /** The source QEMU closed its side, or reset it. */
  hasStreamEnded: boolean
  /** Whether the destination QEMU closed its side cleanly; and its last word on its load, 0 for success. */
  hasReturnEnded: boolean
  /** It did so before the source QEMU, which then also closes its side cleanly. */
  hasReturnEndedFirst: boolean
  shut: number | undefined
  /** The destination QEMU closed its connection and had not taken the whole stream, as its host says. */
  isUnloaded: boolean
}

/** The state of a new main channel. */
export const NOTHING_TOLD: MainChannel = {
  isMigration: false, hasRamEnded: false, isPostcopy: false, hasStreamEnded: false, hasReturnEnded: false,
  hasReturnEndedFirst: false, shut: undefined, isUnloaded: false,
}

/** What a mark of its stream shows. Pure. */
export function newsOf(mark: StreamMark): Partial<MainChannel> {
  switch (mark) {
    case 'ramStart': return { isMigration: true }
    case 'resume': return { isMigration: true, isPostcopy: true }
    case 'package': return { isPostcopy: true }
    case 'ramEnd': return { hasRamEnded: true }
    case 'handedOver': case 'eof': return {}
  }
}

/**
 * The outcome by the channel alone: `loaded` is QEMU's word and not the manager's, who may still continue the guest at
 * the source; `cut` is a post-copy that waits to be resumed; `foreign` is no readable migration.
 */
export type StreamOutcome = 'loaded' | 'cancelled' | 'failed' | 'cut' | 'open' | 'foreign'

/**
 *   forward                        back                 outcome
 *   any                            SHUT(0)              loaded
 *   any                            SHUT(an error)       failed
 *   a post-copy's package          no SHUT              cut
 *   ended inside RAM               no SHUT              cancelled, or the source's side was cut
 *   reset inside RAM               no SHUT              the same: a QEMU that cancels may leave bytes unread
 *   ended inside RAM               ended before it      failed: the destination QEMU died
 *   broken inside RAM              no SHUT              failed
 *   RAM's end, not all taken       no SHUT              failed: a load error, or the destination QEMU died
 *   RAM's end                      no SHUT              open: without a return path nobody tells the result
 *
 * Which of two ends came first is told by what the source QEMU had sent before it was told of the other one (see
 * `hearsOut`), and not by the order in which a busy agent reads its connections.
 */
export function outcomeOf(told: MainChannel): StreamOutcome {
  const { isMigration, hasRamEnded, isPostcopy, hasStreamEnded, hasReturnEnded, hasReturnEndedFirst } = told
  const { shut, isUnloaded } = told
  if (!isMigration) return 'foreign'
  if (hasReturnEnded && shut !== undefined) return shut === 0 ? 'loaded' : 'failed'
  if (isPostcopy) return 'cut'
  if (hasRamEnded) return isUnloaded ? 'failed' : 'open'
  return hasStreamEnded && !hasReturnEndedFirst ? 'cancelled' : 'failed'
}

/** State of the source QEMU's process: a manager ends it some seconds after a loaded migration. */
export type SourceProcess = 'lives' | 'gone' | 'unknown'

/** The outcome in an operator's words. `to` is the destination's host. */
export function endingOf(outcome: StreamOutcome, process: SourceProcess, to: string): RelayEnding {
  switch (outcome) {
    case 'loaded':
      if (process === 'gone') return { status: 'completed' }
      return unknown('not-ended', `The QEMU on ${to} has the whole guest; ` + (process === 'lives'
        ? 'that of the source has not ended: its manager may still resume it there.'
        : 'whether that of the source has ended cannot be seen from here.'))
    case 'cancelled':
      if (process === 'lives') {
        return { status: 'cancelled', code: 'cancelled', reason: 'The source ended the migration. Its QEMU lives.' }
      }
      return unknown('cancelled', 'The source ended the migration; whether its QEMU lives cannot be seen from here.')
    case 'failed':
      if (process === 'lives') {
        return {
          status: 'failed', code: 'qemu-failed', reason: `The guest was not loaded on ${to}. The source QEMU lives.`,
        }
      }
      return unknown('qemu-failed',
        `The guest was not loaded on ${to}; whether the source QEMU lives cannot be seen from here.`)
    case 'cut':
      return {
        status: 'failed', code: 'postcopy-cut',
        reason: 'The connection of a post-copy was cut: end neither QEMU. Its manager resumes it.',
      }
    case 'open':
      return unknown('no-return-path', `All of it was sent to ${to}, and neither QEMU tells whether it was loaded.`)
    case 'foreign':
      return unknown('not-understood', 'The stream is no readable migration: it passed unchanged.')
  }
}

function unknown(code: string, reason: string): RelayEnding {
  return { status: 'unknown', code, reason }
}
