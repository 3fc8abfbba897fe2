/**
 * The strikers of rounds: an operator who cancels, a manager that ends the source QEMU, and a crash of the source QEMU.
 */
import { setTimeout } from 'node:timers/promises'

import type { CommandOutcome } from '../../testnet/index.ts'
import type { Observation } from '../support/verdict.ts'
import type { Witness } from '../support/witness.ts'
import { beforeStop } from './aim.ts'
import type { TwoHosts } from './twohosts.ts'

/** A guest about to move. */
export interface Ends {
  hosts: TwoHosts
  guest: string
  source: Witness
  destination: Witness
}

/** A move that has begun. */
export interface Move {
  startedAtMs: number
  over: Promise<CommandOutcome>
}

/** The result of a strike. */
export interface Struck extends Pick<Observation, 'mayEnd' | 'mayBeLost'> {
  /** Milliseconds since 1970. */
  atMs: number
}

/** A striker prepared for one move. */
export interface ReadyStriker {
  /** Strikes at its moment; resolves to undefined if the move ended before. */
  strike(move: Move): Promise<Struck | undefined>
  /** The result of the command with which it strikes, if any. */
  cancelled?: Promise<CommandOutcome>
}

export interface Striker {
  readonly name: string
  /** The range of its moments. */
  readonly window: readonly [from: number, to: number]
  /** Further arguments of the move. */
  readonly words?: readonly string[]
  /** How long all may take to come to rest after a failed move, ms. */
  readonly restMsMax?: number
  /**
   * Called before the move. Its changes to the QEMUs count as their own settings.
   * @param at its moment; undefined: it must not strike
   */
  prepare(ends: Ends, at: number | undefined): Promise<ReadyStriker>
}

export const NO_STRIKE: ReadyStriker = { strike: async () => undefined }

/** Cancels at a moment from 150 ms before the guest's STOP to 150 ms after. */
export class Canceller implements Striker {
  readonly name = 'cancel'
  readonly window = [-150, 150] as const
  /** How much sooner than predicted a guest stops: the last of its memory is sent faster. */
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
        // The command must be released even if the move is over, or it would wait for ever.
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
    // If the guest did not stop afterwards, the strike was in time, perhaps much too early.
    this.#earlyMs = actualMs === -Infinity ? this.#earlyMs * 0.9 : this.#earlyMs + (actualMs - offsetMs) / 2
  }
}

/** Ends the source QEMU as soon as that reports completed. */
export const MANAGER: Striker = {
  name: 'end',
  window: [0, 0],
  async prepare({ hosts, source }, at) {
    // A manager that waits for `completed` has requested events.
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
    // Events tell whether all has arrived.
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

/** Whether the move ended first. */
export async function isOverBefore(moment: Promise<void>, over: Promise<unknown>): Promise<boolean> {
  return await Promise.race([moment.then(() => false), over.then(() => true)])
}

async function afterStop(stopped: Promise<void>, offsetMs: number): Promise<void> {
  await stopped
  await setTimeout(offsetMs)
}

/** Resolves at QEMU's event of completion; events must have been requested. */
async function completedAt(source: Witness): Promise<void> {
  await new Promise<void>((resolve) => {
    source.client.onEvent(({ name, data }) => {
      if (name === 'MIGRATION' && data['status'] === 'completed') resolve()
    })
  })
}
