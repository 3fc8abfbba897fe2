import type { RelayEnding } from './messages.ts'

/** What the main channel of a migration that somebody else drives has told. */
export interface MainChannel {
  /** It was understood as a QEMU's: RAM began, or a post-copy went on. */
  isMigration: boolean
  /** RAM's last section went by. */
  hasRamEnded: boolean
  /** The device package of a post-copy went by: the guest may run at the destination. */
  isPostcopy: boolean
  /** The source QEMU ended its side in order. */
  hasStreamEnded: boolean
  /** The destination QEMU did, and its last word of how its load ended: 0 for well. */
  hasReturnEnded: boolean
  /** It did so before the source QEMU, which then ends its own side in order, too. */
  hasReturnEndedFirst: boolean
  shut: number | undefined
}

/** What a new main channel has told. */
export const NOTHING_TOLD: MainChannel = {
  isMigration: false, hasRamEnded: false, isPostcopy: false, hasStreamEnded: false, hasReturnEnded: false,
  hasReturnEndedFirst: false, shut: undefined,
}

/**
 * What came of it, by its channel alone: `loaded` is QEMU's word and not the manager's, who may still let the guest go
 * on at the source; `cut` is a post-copy that waits to be resumed; `foreign` is no migration that can be read.
 */
export type StreamOutcome = 'loaded' | 'cancelled' | 'failed' | 'cut' | 'open' | 'foreign'

/**
 *   forward                        back                 is
 *   any                            SHUT(0)              loaded
 *   any                            SHUT(an error)       failed
 *   a post-copy's package          no SHUT              cut
 *   ended inside RAM               no SHUT              cancelled, or the source's side was cut
 *   ended inside RAM               ended before it      failed: the destination QEMU died
 *   broken inside RAM              no SHUT              failed
 *   RAM's end                      no SHUT              open: without a return path nobody says how it ended
 */
export function outcomeOf(told: MainChannel): StreamOutcome {
  const { isMigration, hasRamEnded, isPostcopy, hasStreamEnded, hasReturnEnded, hasReturnEndedFirst, shut } = told
  if (!isMigration) return 'foreign'
  if (hasReturnEnded && shut !== undefined) return shut === 0 ? 'loaded' : 'failed'
  if (isPostcopy) return 'cut'
  if (hasRamEnded) return 'open'
  return hasStreamEnded && !hasReturnEndedFirst ? 'cancelled' : 'failed'
}

/** What is known of the source QEMU's process: some seconds after a migration that was loaded a manager ends it. */
export type SourceProcess = 'lives' | 'gone' | 'unknown'

/** What may be said of a migration, in an operator's words. `to` is the destination's host. */
export function endingOf(outcome: StreamOutcome, process: SourceProcess, to: string): RelayEnding {
  switch (outcome) {
    case 'loaded':
      if (process === 'gone') return { status: 'completed' }
      return unknown('not-ended', `The QEMU on ${to} has the whole guest; ` + (process === 'lives'
        ? 'that of the source has not ended: its manager may still let it go on there.'
        : 'whether that of the source has ended cannot be seen from here.'))
    case 'cancelled':
      if (process === 'lives') {
        return { status: 'cancelled', code: 'cancelled', reason: 'The source ended the migration. Its QEMU lives on.' }
      }
      return unknown('cancelled', 'The source ended the migration; whether its QEMU lives cannot be seen from here.')
    case 'failed':
      if (process === 'lives') {
        return {
          status: 'failed', code: 'qemu-failed', reason: `It was not loaded on ${to}. The source QEMU lives on.`,
        }
      }
      return unknown('qemu-failed',
        `It was not loaded on ${to}; whether the source QEMU lives cannot be seen from here.`)
    case 'cut':
      return {
        status: 'failed', code: 'postcopy-cut',
        reason: 'The connection of a post-copy was cut: end neither QEMU. Its manager resumes it.',
      }
    case 'open':
      return unknown('no-return-path', `All of it was sent to ${to}, and neither QEMU says whether it was loaded.`)
    case 'foreign':
      return unknown('not-understood', 'What was sent is no migration that can be read: it passed as it was.')
  }
}

function unknown(code: string, reason: string): RelayEnding {
  return { status: 'unknown', code, reason }
}
