import { setTimeout } from 'node:timers/promises'

import { systemClock } from '../../src/runtime/clock.ts'
import { waitFor } from '../../testnet/index.ts'
import { FAULT_KINDS, judge, type Fault, type FaultKind, type Observation, type Seen } from '../support/verdict.ts'
import { overlapMs, type Settings, type Witness } from '../support/witness.ts'
import { spreadMoments } from './aim.ts'
import type { Striker } from './strikers.ts'
import type { TravellingGuest } from './travelling.ts'
import type { TwoHosts } from './twohosts.ts'

const COMMAND_MS_MAX = 40_000
/** From the end of the commands until all hosts must be at rest. */
const REST_MS_MAX = 10_000
/** After this time results and settings must not change any more. */
const WORDS_MS_MAX = 4000
const LOOK_EVERY_MS = 50
/** The guest's heartbeat and its scan are checked every this many rounds. */
const BEAT_EVERY = 5
const SCAN_EVERY = 20
const SCAN_MS_MAX = 20_000
const SHOWN_MAX = 5
/** The agent's log message when it ends a hung QEMU. */
const WAS_ENDED = 'a waiting QEMU that did not answer was ended'

export interface RoundsReport {
  counts: Record<FaultKind, number>
  /** How often moves ended in each way. */
  ends: Record<string, number>
  rounds: number
  /** Hung destination QEMUs that their agent ended. */
  ended: number
  /** Time of each strike after the source's STOP; -Infinity if it did not stop afterwards. */
  struckMs: number[]
  /** The faults of the first failed rounds, with their traces. */
  failures: string[]
}

/** Moves the guest in each round, with a strike. */
export class Rounds {
  readonly #hosts: TwoHosts
  readonly #guest: TravellingGuest
  readonly #striker: Striker
  readonly report: RoundsReport = {
    counts: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>,
    ends: {}, rounds: 0, ended: 0, struckMs: [], failures: [],
  }

  constructor(hosts: TwoHosts, guest: TravellingGuest, striker: Striker) {
    this.#hosts = hosts
    this.#guest = guest
    this.#striker = striker
  }

  async run(seed: number, count: number): Promise<void> {
    for (const at of spreadMoments(seed, count, ...this.#striker.window)) {
      await this.#round(at)
      this.report.rounds += 1
      if (this.report.rounds % SCAN_EVERY === 0) await this.#expectScan()
    }
    // The next move works, also after the last round.
    await this.#round(undefined)
  }

  /** @param at when to strike; undefined: never */
  async #round(at: number | undefined): Promise<void> {
    const { trace } = this.#hosts
    trace.clear()
    trace.add('round', `${this.#striker.name} ${this.report.rounds}, at ${at?.toFixed(1) ?? 'no time'}`)
    const source = this.#guest.home
    const { name } = this.#guest
    const [destination, move] = await Promise.all([
      this.#guest.waiting(),
      this.#hosts.hold(
        source.host, 'migrate', name, '--to', this.#guest.otherHost, '--json', ...this.#striker.words ?? [],
      ),
    ])
    const ready = await this.#striker.prepare({ hosts: this.#hosts, guest: name, source, destination }, at)
    const before = { source: await source.settings(), destination: await destination.settings() }
    await move.ready

    const startedAtMs = move.release()
    trace.add('operator', 'migrate')
    const [outcome, cancelled, struck] = await Promise.all([
      withinTime(move.outcome), withinTime(ready.cancelled),
      withinTime(ready.strike({ startedAtMs, over: move.outcome })),
    ])
    if (struck !== undefined) {
      this.report.struckMs.push(struck.atMs - (source.stoppedSince(startedAtMs) ?? Infinity))
    }
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
      ...ready.cancelled === undefined ? {} : { cancel: { exit: cancelled?.status } },
      agents: await this.#agents(),
      mayEnd: struck?.mayEnd ?? ['completed'],
      mayBeLost: struck?.mayBeLost ?? false,
    }))
    if (this.#hosts.evidence().includes(WAS_ENDED)) this.report.ended += 1
    const end = moved?.words?.status ?? 'never ended'
    this.report.ends[end] = (this.report.ends[end] ?? 0) + 1
    await this.#goOn(source, destination, faults)
  }

  /** Polls until there are no faults; those that remain at the end are returned. */
  async #faultsAtRest(observe: () => Promise<Observation>): Promise<Fault[]> {
    const startedAt = performance.now()
    for (;;) {
      const faults = judge(await observe())
      const isSaid = faults.every(({ kind }) => kind === 'wrongWords' || kind === 'settingsLeft')
      const limitMs = faults.length === 0 ? 0 : isSaid ? WORDS_MS_MAX : this.#striker.restMsMax ?? REST_MS_MAX
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

  /** The guest lives where it runs now; anything broken is repaired, so that every round is independent. */
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
    try {
      await waitFor(async () => await scansOf() === before ? undefined : true, {
        clock: systemClock, what: `the agent of ${host} to scan`, timeoutMs: SCAN_MS_MAX, pauseMs: 200,
      })
    } catch (error) {
      this.#note([{ kind: 'wedged', what: `the agent of ${host} scans no more: ${String(error)}` }])
      await this.#hosts.restartAgents()
    }
  }

  #note(faults: Fault[]): void {
    const { counts, failures, rounds } = this.report
    for (const kind of new Set(faults.map((fault) => fault.kind))) counts[kind] += 1
    const said = faults.map(({ kind, what }) => `${kind}: ${what}`).join('\n  ')
    // The first ones with all evidence; for the others the sentence is enough.
    const evidence = failures.length < SHOWN_MAX ? `\n${this.#hosts.evidence()}` : ''
    failures.push(`round ${rounds} of ${this.#striker.name}:\n  ${said}${evidence}`)
  }
}

async function seenOf(witness: Witness, before: Settings): Promise<Seen> {
  // A QEMU that does not answer counts as gone.
  const state = await witness.client.state().catch(() => 'silent')
  const { host, hasArrived, wasQuit } = witness
  // It may end just now.
  const after = state === 'gone' ? undefined : await witness.settings().catch(() => undefined)
  return { host, state, hasArrived, wasQuit, ...after === undefined ? {} : { settings: { before, after } } }
}

/** The result of `outcome`; undefined after forty seconds. */
async function withinTime<T>(outcome: Promise<T> | undefined): Promise<T | undefined> {
  return await Promise.race([outcome, setTimeout(COMMAND_MS_MAX, undefined, { ref: false })])
}
