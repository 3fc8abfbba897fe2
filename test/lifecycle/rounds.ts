import { setTimeout } from 'node:timers/promises'

import type { CommandOutcome } from '../../testnet/index.ts'
import { beforeStop, spreadMoments } from './aim.ts'
import type { HeldCommand } from './heldcommand.ts'
import type { TravellingGuest } from './travelling.ts'
import type { TwoHosts } from './twohosts.ts'
import { FAULT_KINDS, judge, type Fault, type FaultKind, type Observation, type Seen } from './verdict.ts'
import { overlapMs, type Settings, type Witness } from './witness.ts'

/** Who strikes: an operator cancels; a manager ends the source QEMU that says `completed`; the source QEMU crashes. */
export type RoundKind = 'cancel' | 'end' | 'kill'

/** Moments around the source's STOP. */
const WINDOWS_MS: Record<RoundKind, readonly [from: number, to: number]> = {
  cancel: [-150, 150], end: [0, 0], kill: [0, 60],
}
/** How a move may end: what strikes at `completed` comes too late to change it. */
const MAY_END: Record<RoundKind, Observation['mayEnd']> = {
  cancel: ['cancelled', 'completed'], end: ['completed'], kill: ['completed', 'failed'],
}
const COMMAND_MS_MAX = 40_000
/** From the end of the commands until all must have come to rest. */
const REST_MS_MAX = 10_000
/** What was said, or left set, does not change any more. */
const WORDS_MS_MAX = 4000
const LOOK_EVERY_MS = 50
/** Every so many rounds the guest must be heard, and scanned again. */
const BEAT_EVERY = 5
const SCAN_EVERY = 20
const SCAN_MS_MAX = 20_000
const SHOWN_MAX = 5

export interface RoundsReport {
  counts: Record<FaultKind, number>
  /** How moves ended, how often. */
  ends: Record<string, number>
  rounds: number
  /** When strikes took place, from the source's STOP; -Infinity where it did not stop any more. */
  struckMs: number[]
  /** Of the first rounds that went wrong: what was wrong, and all that happened. */
  failures: string[]
}

/** Rounds of one kind: in each the guest is moved, and somebody strikes around its switchover. */
export class Rounds {
  readonly #hosts: TwoHosts
  readonly #guest: TravellingGuest
  readonly #kind: RoundKind
  /** How much sooner than reckoned a guest stops: the last of its memory goes faster than what came before. */
  #earlyMs = 0
  readonly report: RoundsReport = {
    counts: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>,
    ends: {}, rounds: 0, struckMs: [], failures: [],
  }

  constructor(hosts: TwoHosts, guest: TravellingGuest, kind: RoundKind) {
    this.#hosts = hosts
    this.#guest = guest
    this.#kind = kind
  }

  async run(seed: number, count: number): Promise<void> {
    for (const offsetMs of spreadMoments(seed, count, ...WINDOWS_MS[this.#kind])) {
      await this.#round(offsetMs)
      this.report.rounds += 1
      if (this.report.rounds % SCAN_EVERY === 0) await this.#expectScan()
    }
    // The next move works, also after the last of them.
    await this.#round(undefined)
  }

  /** @param offsetMs when to strike, from the source's STOP; undefined: not at all */
  async #round(offsetMs: number | undefined): Promise<void> {
    const { trace } = this.#hosts
    trace.clear()
    trace.add('round', `${this.#kind} ${this.report.rounds}, at ${offsetMs?.toFixed(1) ?? 'no time'} ms from STOP`)
    const source = this.#guest.home
    const { name } = this.#guest
    const [destination, move, cancel] = await Promise.all([
      this.#guest.waiting(),
      this.#hosts.hold(source.host, 'migrate', name, '--to', this.#guest.otherHost, '--json'),
      this.#kind === 'cancel' && offsetMs !== undefined ?
        this.#hosts.hold(source.host, 'cancel', name, '--json') : undefined,
    ])
    const [before] = await Promise.all([this.#prepare(source, destination), move.ready, cancel?.ready])

    const stopped = source.nextStop()
    const startedAtMs = move.release()
    trace.add('operator', 'migrate')
    const struck = offsetMs === undefined ? undefined :
      this.#strike({ source, stopped, offsetMs, startedAtMs, over: move.outcome, cancel })
    const [outcome, cancelled, hasStruck] = await Promise.all([
      withinTime(move.outcome), withinTime(cancel?.outcome), withinTime(struck),
    ])
    if (outcome === undefined) trace.add('operator', 'migrate never ended')
    const moved = outcome === undefined ? undefined : this.#hosts.toldMove(outcome)
    if (cancelled !== undefined) {
      trace.add('operator', `cancel ended with ${cancelled.status}: ${cancelled.output}${cancelled.errors}`.trim())
    }
    const faults = await this.#faultsAtRest(async () => ({
      guest: this.#guest.name,
      source: await seenOf(source, before.source),
      destination: await seenOf(destination, before.destination),
      overlapMs: overlapMs(source.spans, destination.spans),
      move: moved === undefined ? undefined : { exit: moved.status, words: moved.words },
      ...cancel === undefined ? {} : { cancel: { exit: cancelled?.status } },
      agents: await this.#agents(),
      mayEnd: offsetMs === undefined ? ['completed'] : MAY_END[this.#kind],
      mayBeLost: this.#kind === 'kill' && hasStruck === true,
    }))
    const end = moved?.words?.status ?? 'never ended'
    this.report.ends[end] = (this.report.ends[end] ?? 0) + 1
    await this.#goOn(source, destination, faults)
  }

  /** What both QEMUs must be put back to. */
  async #prepare(source: Witness, destination: Witness): Promise<{ source: Settings; destination: Settings }> {
    // A manager that waits for `completed` has asked for events; whether all has arrived is seen by them, too.
    if (this.#kind === 'end') await source.tellEvents()
    if (this.#kind === 'kill') await destination.tellEvents()
    return { source: await source.settings(), destination: await destination.settings() }
  }

  /** Resolves to whether it has struck: not if the move ended before. */
  async #strike(round: {
    source: Witness; stopped: Promise<void>; offsetMs: number; startedAtMs: number
    over: Promise<CommandOutcome>; cancel: HeldCommand | undefined
  }): Promise<boolean> {
    const { source, stopped, offsetMs, startedAtMs, over, cancel } = round
    const { trace } = this.#hosts
    const afterStop = async (): Promise<void> => {
      await stopped
      await setTimeout(offsetMs)
    }
    const moments: Record<RoundKind, () => Promise<void>> = {
      cancel: () => offsetMs < 0 ? beforeStop(source, this.#earlyMs - offsetMs, startedAtMs) : afterStop(),
      end: () => completedAt(source),
      kill: afterStop,
    }
    const isOver = await Promise.race([moments[this.#kind]().then(() => false), over.then(() => true)])
    const struckAtMs = Date.now()
    // A cancel must be heard even now, or it would wait for ever. The others would strike a guest that moves no more.
    if (this.#kind === 'cancel') {
      cancel?.release()
      trace.add('operator', 'cancel')
    } else if (isOver) {
      return false
    } else if (this.#kind === 'end') {
      trace.add('manager', 'quit')
      // QEMU may hang up before it answers.
      await source.client.execute('quit').catch(() => {})
    } else {
      trace.add('crash', `SIGKILL to QEMU ${source.guest.pid}`)
      process.kill(source.guest.pid, 'SIGKILL')
      await source.client.gone
    }
    await withinTime(over)
    const actualMs = struckAtMs - (source.stoppedSince(startedAtMs) ?? Infinity)
    this.report.struckMs.push(actualMs)
    if (offsetMs >= 0) return true
    // Where it did not stop any more, the strike was soon enough, or much too soon.
    this.#earlyMs = actualMs === -Infinity ? this.#earlyMs * 0.9 : this.#earlyMs + (actualMs - offsetMs) / 2
    return true
  }

  /** Looks until nothing is wrong; what still is after ten seconds is wrong. */
  async #faultsAtRest(observe: () => Promise<Observation>): Promise<Fault[]> {
    const startedAt = performance.now()
    for (;;) {
      const faults = judge(await observe())
      const isSaid = faults.every(({ kind }) => kind === 'wrongWords' || kind === 'settingsLeft')
      const limitMs = faults.length === 0 ? 0 : isSaid ? WORDS_MS_MAX : REST_MS_MAX
      if (performance.now() - startedAt >= limitMs) return faults
      await setTimeout(LOOK_EVERY_MS)
    }
  }

  async #agents(): Promise<Observation['agents']> {
    const entries = await Promise.all(['a', 'b'].map(async (host) => {
      const status = await this.#hosts.status(host).catch(() => undefined)
      return [host, status && { handoffs: status.handoffs.length, held: status.held ?? [] }] as const
    }))
    return Object.fromEntries(entries)
  }

  /** The guest lives where it runs now; whatever is broken is mended, so that every round stands for itself. */
  async #goOn(source: Witness, destination: Witness, faults: Fault[]): Promise<void> {
    const states = await Promise.all([source, destination].map(({ client }) => client.state().catch(() => 'silent')))
    if (faults.length > 0) this.#note(faults)
    if (faults.some(({ kind }) => kind === 'wedged')) await this.#hosts.restartAgents()
    if (states[1] === 'running' && states[0] !== 'running') await this.#guest.settleIn(destination)
    else if (states[0] === 'running' && states[1] !== 'running') await this.#hosts.stop(destination)
    else await this.#guest.restore()
    if (this.report.rounds % BEAT_EVERY === 0) await this.#expectBeat()
  }

  async #expectBeat(): Promise<void> {
    const { home } = this.#guest
    try {
      await home.guest.moreBeats(1, REST_MS_MAX)
    } catch (error) {
      this.#note([{ kind: 'lost', what: `it runs at ${home.host}, but does nothing: ${String(error)}` }])
      await this.#guest.restore()
    }
  }

  async #expectScan(): Promise<void> {
    const { host } = this.#guest.home
    const scansOf = async (): Promise<number> => (await this.#hosts.status(host)).census.scans
    const before = await scansOf()
    const deadline = performance.now() + SCAN_MS_MAX
    while (await scansOf() === before) {
      if (performance.now() > deadline) {
        this.#note([{ kind: 'wedged', what: `the agent of ${host} scans no more` }])
        await this.#hosts.restartAgents()
        return
      }
      await setTimeout(200)
    }
  }

  #note(faults: Fault[]): void {
    const { counts, failures, rounds } = this.report
    for (const kind of new Set(faults.map((fault) => fault.kind))) counts[kind] += 1
    const said = faults.map(({ kind, what }) => `${kind}: ${what}`).join('\n  ')
    // The first ones with all that happened; of the others the sentence is enough.
    const evidence = failures.length < SHOWN_MAX ? `\n${this.#hosts.evidence()}` : ''
    failures.push(`round ${rounds} of ${this.#kind}:\n  ${said}${evidence}`)
  }
}

/** Resolves when QEMU says so by an event, which it was asked for. */
async function completedAt(source: Witness): Promise<void> {
  await new Promise<void>((resolve) => {
    source.client.onEvent(({ name, data }) => {
      if (name === 'MIGRATION' && data['status'] === 'completed') resolve()
    })
  })
}

async function seenOf(witness: Witness, before: Settings): Promise<Seen> {
  // One that does not answer is as bad as one that is gone, and stays the subject of its round.
  const state = await witness.client.state().catch(() => 'silent')
  const { host, hasArrived, wasQuit } = witness
  // It may end just now.
  const after = state === 'gone' ? undefined : await witness.settings().catch(() => undefined)
  return { host, state, hasArrived, wasQuit, ...after === undefined ? {} : { settings: { before, after } } }
}

/** What it comes to; undefined after forty seconds. */
async function withinTime<T>(outcome: Promise<T> | undefined): Promise<T | undefined> {
  return await Promise.race([outcome, setTimeout(COMMAND_MS_MAX, undefined, { ref: false })])
}
