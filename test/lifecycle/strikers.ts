/** Who strikes in a round: an operator cancels; a manager ends the source QEMU; the source QEMU crashes. */
import { setTimeout } from 'node:timers/promises'

import type { CommandOutcome } from '../../testnet/index.ts'
import { beforeStop } from './aim.ts'
import type { TwoHosts } from './twohosts.ts'
import type { Observation } from './verdict.ts'
import type { Witness } from './witness.ts'

/** A guest that is about to move. */
export interface Ends {
  hosts: TwoHosts
  guest: string
  source: Witness
  destination: Witness
}

/** The move, once it has begun. */
export interface Move {
  startedAtMs: number
  over: Promise<CommandOutcome>
}

/** What a strike was. */
export interface Struck extends Pick<Observation, 'mayEnd' | 'mayBeLost'> {
  /** Milliseconds since 1970. */
  atMs: number
}

/** One who is ready to strike in one move. */
export interface ReadyStriker {
  /** Strikes at its moment; resolves to undefined if the move ended before. */
  strike(move: Move): Promise<Struck | undefined>
  /** How the command ended with which it strikes, if it does with one. */
  cancelled?: Promise<CommandOutcome>
}

export interface Striker {
  readonly name: string
  /** Between which values its moments are spread. */
  readonly window: readonly [from: number, to: number]
  /** What the move is told further. */
  readonly words?: readonly string[]
  /** How long all may take to come to rest after a move that did not succeed. */
  readonly restMsMax?: number
  /**
   * Before the move. What it changes in the QEMUs counts as their own settings.
   * @param at its moment; undefined: it must not strike
   */
  prepare(ends: Ends, at: number | undefined): Promise<ReadyStriker>
}

export const NO_STRIKE: ReadyStriker = { strike: async () => undefined }

/** Cancels at a moment from 150 ms before the guest's STOP to 150 ms after. */
export class Canceller implements Striker {
  readonly name = 'cancel'
  readonly window = [-150, 150] as const
  /** How much sooner than reckoned a guest stops: the last of its memory goes faster than what came before. */
  #earlyMs = 0

  async prepare({ hosts, guest, source }: Ends, offsetMs: number | undefined): Promise<ReadyStriker> {
    if (offsetMs === undefined) return NO_STRIKE
    const stopped = source.nextStop()
    const command = await hosts.hold(source.host, 'cancel', guest, '--json')
    await command.ready
    return {
      cancelled: command.outcome,
      strike: async ({ startedAtMs, over }) => {
        const moment = offsetMs < 0 ? beforeStop(source, this.#earlyMs - offsetMs, startedAtMs)
          : afterStop(stopped, offsetMs)
        await Promise.race([moment, over])
        // It must be heard even when the move is over, or it would wait for ever.
        const atMs = command.release()
        hosts.trace.add('operator', 'cancel')
        if (offsetMs < 0) {
          void over.then(() => this.#learn(atMs - (source.stoppedSince(startedAtMs) ?? Infinity), offsetMs))
        }
        return { atMs, mayEnd: ['cancelled', 'completed'], mayBeLost: false }
      },
    }
  }

  #learn(actualMs: number, offsetMs: number): void {
    // Where it did not stop any more, the strike was soon enough, or much too soon.
    this.#earlyMs = actualMs === -Infinity ? this.#earlyMs * 0.9 : this.#earlyMs + (actualMs - offsetMs) / 2
  }
}

/** Ends the source QEMU as soon as that says completed. */
export const MANAGER: Striker = {
  name: 'end',
  window: [0, 0],
  async prepare({ hosts, source }, at) {
    // A manager that waits for `completed` has asked for events.
    await source.tellEvents()
    if (at === undefined) return NO_STRIKE
    const completed = completedAt(source)
    return {
      strike: async ({ over }) => {
        if (await isOverBefore(completed, over)) return undefined
        const atMs = Date.now()
        hosts.trace.add('manager', 'quit')
        // QEMU may hang up before it answers.
        await source.client.execute('quit').catch(() => {})
        return { atMs, mayEnd: ['completed'], mayBeLost: false }
      },
    }
  },
}

/** Kills the source QEMU at a moment after its STOP. */
export const CRASH: Striker = {
  name: 'kill',
  window: [0, 60],
  async prepare({ hosts, source, destination }, offsetMs) {
    // Whether all has arrived is seen by events.
    await destination.tellEvents()
    if (offsetMs === undefined) return NO_STRIKE
    const moment = afterStop(source.nextStop(), offsetMs)
    return {
      strike: async ({ over }) => {
        if (await isOverBefore(moment, over)) return undefined
        const atMs = Date.now()
        hosts.trace.add('crash', `SIGKILL to QEMU ${source.guest.pid}`)
        process.kill(source.guest.pid, 'SIGKILL')
        await source.client.gone
        return { atMs, mayEnd: ['completed', 'failed'], mayBeLost: true }
      },
    }
  },
}

/** Whether the move was over first. */
export async function isOverBefore(moment: Promise<void>, over: Promise<unknown>): Promise<boolean> {
  return await Promise.race([moment.then(() => false), over.then(() => true)])
}

async function afterStop(stopped: Promise<void>, offsetMs: number): Promise<void> {
  await stopped
  await setTimeout(offsetMs)
}

/** Resolves when QEMU says so by an event, which it was asked for. */
async function completedAt(source: Witness): Promise<void> {
  await new Promise<void>((resolve) => {
    source.client.onEvent(({ name, data }) => {
      if (name === 'MIGRATION' && data['status'] === 'completed') resolve()
    })
  })
}
