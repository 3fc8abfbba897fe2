import { EventEmitter } from 'node:events'

import type { Reason } from '../conversation/index.ts'
import { type Outgoing } from '../handoff/index.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import { failedResult, type HandoffMeasure, type HandoffProgress, type HandoffResult } from '../transfer/index.ts'
import type { Handoff } from './api.ts'

/** A guest that is leaving this host, from the request until its handoff rests. */
export class Leaving {
  progress: HandoffProgress
  /** Nothing moves: it is not shown. */
  isDryRun = false
  /** The handoff's result; undefined for a dry run. */
  done: Promise<HandoffResult | undefined> = Promise.resolve(undefined)
  readonly #abort = new AbortController()
  #reason: Reason | undefined
  #outgoing: Outgoing | undefined
  readonly #onProgress: (progress: HandoffProgress) => void

  constructor(progress: HandoffProgress, onProgress: (progress: HandoffProgress) => void = () => {}) {
    this.progress = progress
    this.#onProgress = onProgress
  }

  /** Aborts on a cancel before the outgoing end exists. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Sets the outgoing end: from now on QEMU decides the outcome of a cancel. */
  follow(outgoing: Outgoing): void {
    this.#outgoing = outgoing
    if (this.#reason !== undefined) outgoing.cancel(this.#reason)
  }

  show(progress: HandoffProgress): void {
    this.progress = progress
    this.#onProgress(progress)
  }

  /** It waits for a turn, or for its destination; an outgoing end that it had is over. */
  queue(why: string): void {
    this.#outgoing = undefined
    this.show({ ...this.progress, ...NOTHING_QUEUED, phase: 'queued', why })
    if (this.#reason !== undefined) this.cancel(this.#reason)
  }

  /** It is its turn. */
  unqueue(): void {
    if (this.progress.phase !== 'queued') return
    const { why: _why, ...progress } = this.progress
    this.show({ ...progress, phase: 'preparing' })
  }

  cancel(reason: Reason): void {
    this.#reason ??= reason
    if (this.#outgoing !== undefined) this.#outgoing.cancel(reason)
    else this.#abort.abort(new PagemeshError(reason.code, reason.message, { fault: reason.fault, phase: 'preparing' }))
  }
}

export const NOTHING_YET: HandoffMeasure = {
  phase: 'preparing', qemuBytes: 0, wireBytes: 0, remainingBytes: 0, totalBytes: 0,
  passes: 0, dirtyBytesPerSecond: 0,
}

/** What a guest that waits shows of the bytes of an offer that was refused. */
const NOTHING_QUEUED = { percent: 0, qemuBytes: 0, wireBytes: 0, wireBytesPerSecond: 0, remainingBytes: 0 }

export function cancelled(): Reason {
  return { code: 'cancelled', fault: 'cancelled', message: 'The handoff was cancelled.' }
}

export function noHandoff(guest: string): PagemeshError {
  return new PagemeshError('no-handoff', `No handoff of a guest named ${guest} runs from this host.`, {
    fault: 'usage',
    advice: '`pagemesh status` lists those that run. One that comes from another host is cancelled there.',
  })
}

export function channelsImpossible(guest: string, channels: number): PagemeshError {
  return new PagemeshError(
    'channels-impossible', `${guest} cannot move over ${channels} channels in post-copy: QEMU has no multifd there.`,
    { fault: 'usage', phase: 'preparing', advice: 'Leave the number of channels out, or use pre-copy.' },
  )
}

export function alreadyMoving(guest: string, fault: 'usage' | 'peer'): PagemeshError {
  return new PagemeshError('already-moving', `The guest ${guest} is moving already.`, {
    fault, phase: 'preparing', advice: '`pagemesh status` shows its handoff, `pagemesh cancel` ends it.',
  })
}

export function evacuating(host: string): PagemeshError {
  return new PagemeshError('evacuating', `${host} is being evacuated and takes no guests.`, {
    fault: 'peer', phase: 'offer', advice: 'Choose another host.',
  })
}

export function undecided(guest: string): PagemeshError {
  return new PagemeshError('undecided', `An earlier handoff of ${guest} is not settled.`, {
    fault: 'usage', phase: 'preparing',
    advice: 'See `pagemesh status` and `pagemesh history` here; `pagemesh settle` decides for a copy that is held, ' +
      'and `pagemesh recover` resumes a post-copy that was cut.',
  })
}

export function nothingToRecover(guest: string): PagemeshError {
  return new PagemeshError('nothing-to-recover', `No post-copy of a guest named ${guest} waits here to be resumed.`, {
    fault: 'usage', phase: 'recover',
    advice: 'Ask on the host that the guest came from; `pagemesh history` tells which.',
  })
}

/** The result of a handoff that failed before it began. */
export function failure(
  about: Pick<HandoffResult, 'guest' | 'from' | 'to' | 'mode'>, error: PagemeshError,
): HandoffResult {
  const status = error.fault === 'cancelled' ? 'cancelled' : 'failed'
  return { ...failedResult(about), status, code: error.code, reason: describeError(error) }
}

/**
 * A handoff as its caller sees it: a promise of the result that emits progress events. A listener also hears the last
 * one before it came: a guest is queued before anybody can listen, and may stay so for long.
 */
export function withProgress(
  run: (onProgress: (progress: HandoffProgress) => void) => Promise<HandoffResult>,
): Handoff {
  const events = new EventEmitter<{ progress: [HandoffProgress] }>()
  let last: HandoffProgress | undefined
  const tell = (progress: HandoffProgress): void => {
    last = progress
    events.emit('progress', progress)
  }
  const handoff: Handoff = Object.assign(run(tell), {
    on(event: 'progress', listener: (progress: HandoffProgress) => void) {
      events.on(event, listener)
      if (last !== undefined) listener(last)
      return handoff
    },
  })
  return handoff
}
