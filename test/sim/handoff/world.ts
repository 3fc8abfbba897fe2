/**
 * One handoff in a model world: two agents with the real steps of the conversation, two model QEMUs, a network, other
 * clients and an operator, on virtual time. After a phase of faults everything must come to rest.
 */
import type { Plan } from '../../../src/conversation/conversation.ts'
import type { IncomingEvent } from '../../../src/conversation/incomingstate.ts'
import { stepIncoming } from '../../../src/conversation/incomingstep.ts'
import type { OutgoingEvent } from '../../../src/conversation/outgoingstate.ts'
import { stepOutgoing } from '../../../src/conversation/outgoingstep.ts'
import { restartIncoming, restartOutgoing } from '../../../src/conversation/restart.ts'
import { cannotHaveRun } from '../../../src/guest/endprocess.ts'
import type { GuestState } from '../../../src/guest/index.ts'
import { Chance } from '../../support/chance.ts'
import { VirtualClock } from '../../support/time.ts'
import { stepName, type Visits } from './coverage.ts'
import { DestinationHost } from './destinationhost.ts'
import { FaultPlan } from './faults.ts'
import { ModelDestination } from './modeldestination.ts'
import type { Side } from './modelqemu.ts'
import { ModelSource } from './modelsource.ts'
import { ModelNetwork } from './network.ts'
import { Operator } from './operator.ts'
import { SourceHost } from './sourcehost.ts'
import { Truth } from './truth.ts'

/** The rules under test: the real ones, or mutants. */
export interface Steps {
  outgoing(...args: [...Parameters<typeof stepOutgoing>, World]): ReturnType<typeof stepOutgoing>
  incoming(...args: [...Parameters<typeof stepIncoming>, World]): ReturnType<typeof stepIncoming>
  restartOutgoing: typeof restartOutgoing
  restartIncoming: typeof restartIncoming
  cannotHaveRun: typeof cannotHaveRun
}

export const REAL_STEPS: Steps = {
  outgoing: stepOutgoing, incoming: stepIncoming, restartOutgoing, restartIncoming, cannotHaveRun,
}

/** From the end of the faults: twice the longest wait of the conversation, plus the operator's time, ms. */
const REST_WITHIN_MS = 600_000
const TICK_MS = 2000
/** Time for pending work at the end, such as the last records, ms. */
const SETTLE_MS = 15_000

const MOVING: ReadonlySet<string> = new Set(['setup', 'active', 'pre-switchover', 'device', 'cancelling'])

export class World {
  readonly clock = new VirtualClock()
  readonly chance: Chance
  readonly steps: Steps
  readonly truth: Truth
  readonly source: ModelSource
  readonly destination: ModelDestination
  readonly network: ModelNetwork
  readonly hosts: { source: SourceHost; destination: DestinationHost }
  readonly plan: Plan
  readonly isPrecopy: boolean
  /** The destination's agent may end a QEMU by force. */
  readonly mayKill: boolean
  /** The stream cannot be parsed: it shows neither the run state nor the end of post-copy's handover. */
  readonly isOpaque: boolean
  /** Channels beside main: multifd of pre-copy, or the one for urgent pages of post-copy. */
  readonly besideCount: number
  readonly runStateAtBegin: GuestState
  /** How long the stream takes before and after the handover, at most, ms. */
  readonly iterationMs: number
  readonly lines: string[] = []
  readonly isTraced: boolean
  readonly #visits: Visits | undefined
  readonly #faults: FaultPlan
  readonly operator: Operator
  /** The faults have ended. */
  isCalm = false

  constructor(seed: number, steps: Steps, { isTraced = false, visits }: { isTraced?: boolean; visits?: Visits } = {}) {
    this.chance = new Chance(seed)
    this.steps = steps
    this.isTraced = isTraced
    this.#visits = visits
    const { chance } = this
    const state: GuestState = chance.happens(0.75) ? 'running' : chance.happens(0.7) ? 'paused' : 'shutdown'
    this.plan = chance.happens(0.02) ? { kind: 'dryRun' }
      : chance.happens(0.6) ? { kind: 'move', mode: 'precopy' }
        : { kind: 'move', mode: 'postcopy', ...(chance.happens(0.4) ? { isLate: true } : {}) }
    const isPostcopy = this.plan.kind === 'move' && this.plan.mode === 'postcopy'
    this.isPrecopy = !isPostcopy
    this.mayKill = chance.happens(0.7)
    this.besideCount = chance.happens(0.5) ? 0 : isPostcopy ? 1 : 1 + chance.below(3)
    this.isOpaque = chance.happens(0.03)
    this.iterationMs = chance.happens(0.5) ? 30 : 400
    this.runStateAtBegin = state
    this.truth = new Truth(this)
    this.source = new ModelSource(this, state)
    this.destination = new ModelDestination(this)
    this.network = new ModelNetwork(this)
    this.hosts = { source: new SourceHost(this), destination: new DestinationHost(this) }
    this.#faults = new FaultPlan(this)
    this.operator = new Operator(this)
  }

  /** A delay of at most `mostMs`; often almost zero, which is where the narrow windows are. */
  delay(mostMs: number): number {
    const { chance } = this
    const part = chance.fraction()
    return part < 0.5 ? part * mostMs * 0.2 : part * mostMs
  }

  note(who: string, what: string, ...more: (string | undefined)[]): void {
    if (!this.isTraced) return
    const at = (this.clock.now() / 1000).toFixed(4).padStart(9)
    this.lines.push(`${at} ${who.padEnd(11)} ${what} ${more.join(' ')}`.trimEnd())
  }

  /** A point at which a fault may strike is reached. */
  reach(point: string): void {
    if (!this.isCalm) this.#faults.reach(point)
  }

  changed(side: Side, at: string): void {
    const other = side === 'source' ? this.hosts.destination.runner?.state.at : this.hosts.source.runner?.state.at
    this.#visits?.pairs.add(side === 'source' ? `${at} ${other ?? '-'}` : `${other ?? '-'} ${at}`)
  }

  visited(side: Side, before: string, event: OutgoingEvent | IncomingEvent, after: string): void {
    this.#visits?.steps.add(stepName(side, before, event, after))
  }

  /** The whole run. */
  run(): void {
    this.note('world', JSON.stringify(this.plan), this.source.runState)
    this.#faults.begin()
    this.hosts.source.begin(this.plan)
    const faultsEndMs = this.#faults.endMs
    for (let atMs = 0; atMs < faultsEndMs; atMs += TICK_MS) {
      while (this.clock.runNext(atMs)) continue
      this.operator.recover()
    }
    while (this.clock.runNext(faultsEndMs)) continue
    this.isCalm = true
    this.note('world', 'the faults end')
    this.#faults.end()
    const untilMs = faultsEndMs + REST_WITHIN_MS
    for (let atMs = faultsEndMs; atMs < untilMs; atMs += TICK_MS) {
      while (this.clock.runNext(atMs)) continue
      if (this.isAtRest()) break
      this.operator.tick()
    }
    const endMs = this.clock.now() + SETTLE_MS
    while (this.clock.runNext(endMs)) continue
    this.truth.judgeRest()
  }

  isAtRest(): boolean {
    const { hosts, source, destination } = this
    if (!hosts.source.isUp || !hosts.destination.isUp || this.operator.isNeeded) return false
    const isMoving = source.isAlive && MOVING.has(source.status)
    if (isMoving || (destination.isAlive && destination.status === 'active')) return false
    return [hosts.source, hosts.destination].every(({ runner, disk }) =>
      (runner === undefined ? disk.record === undefined : runner.state.at === 'over'))
  }
}
