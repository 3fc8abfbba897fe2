/** The true state of the guest, and what must never happen to it: the judge of a run. */
import type { IncomingEnding } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingEnding } from '../../../src/conversation/outgoingstate.ts'
import type { GuestState } from '../../../src/guest/index.ts'
import type { World } from './world.ts'

export const FAULTS = ['lost', 'doubled', 'wedged', 'wrongWords', 'settingsLeft'] as const
export type Fault = typeof FAULTS[number]

export class Truth {
  readonly #world: World
  readonly found: { fault: Fault; words: string }[] = []
  /** The last whole copy was ended from outside, by the guest itself, or by a fault of QEMU's post-copy. */
  isExcused = false
  /** The operator decided for the destination's copy. */
  settledAs: 'run' | 'end' | undefined
  lastOutgoing: OutgoingEnding | undefined
  lastIncoming: IncomingEnding | undefined

  constructor(world: World) {
    this.#world = world
  }

  fail(fault: Fault, words: string): void {
    this.#world.note('truth', `${fault}:`, words)
    this.found.push({ fault, words })
  }

  /** The source has the guest and could run it, or waits for the operator. */
  get isSourceWhole(): boolean {
    const { source, destination } = this.#world
    return source.isAlive && (source.keeps || (!source.isPast && !destination.hasRun))
  }

  /** The destination has all of the guest, and no other copy ran on. */
  get isDestinationWhole(): boolean {
    const { source, destination } = this.#world
    return destination.isAlive && destination.hasAll && !source.keeps && source.status !== 'failed'
  }

  /** A copy was ended from outside: a missing copy is no fault of the agents. */
  struck(): void {
    if (!this.isSourceWhole && !this.isDestinationWhole) this.isExcused = true
  }

  sourceGoesOn(): void {
    const { destination } = this.#world
    if (destination.hasRun) this.fail('doubled', 'the source goes on after the guest ran at the destination')
    else if (destination.isAlive && destination.isReleased) this.fail('doubled', 'the source goes on after a release')
    this.#checkRunning()
  }

  destinationRuns(): void {
    this.#checkRunning()
  }

  #checkRunning(): void {
    const { source, destination } = this.#world
    if (!source.isAlive || !destination.isAlive) return
    if (source.runState === 'running' && destination.runState === 'running') this.fail('doubled', 'both run')
  }

  release(): void {
    const { source } = this.#world
    if (source.keeps) this.fail('doubled', 'released after the source went on')
    if (source.isAlive && !source.isPast && source.status !== 'completed') {
      this.fail('doubled', `released while the source is ${source.status}`)
    }
  }

  /** The destination's copy is told to quit. */
  quit(): void {
    const { source, destination } = this.#world
    if (!destination.hasAll && !destination.hasPackage) return
    // After it reports a failure, it continues within a moment.
    if (this.settledAs === 'end' || source.keeps || source.status === 'failed' || this.isExcused) return
    this.fail('lost', `a whole copy was ended while the source is ${source.isAlive ? source.status : 'dead'}`)
  }

  /** The destination's QEMU is killed because it did not answer. */
  killed(): void {
    const { source, destination } = this.#world
    if (destination.hasRun) this.fail('lost', 'a QEMU was killed whose guest had run')
    const isKept = source.keeps || source.status === 'failed' || source.status === 'cancelled'
    if (!isKept && this.settledAs !== 'end' && !this.isExcused) {
      this.fail('lost', `a copy was killed while the source is ${source.isAlive ? source.status : 'dead'}`)
    }
    this.quit()
  }

  /** QEMU's post-copy cannot go back, even if its package never arrives. */
  sourcePasses(): void {
    if (!this.#world.destination.isAlive) this.isExcused = true
  }

  /** Its stream broke, or it was ended. */
  destinationEnds(): void {
    const { source } = this.#world
    if (source.isPast && !source.keeps && !this.isDestinationWhole) this.isExcused = true
  }

  outgoing(ending: OutgoingEnding): void {
    this.lastOutgoing = ending
    const { source, destination } = this.#world
    const wrong = (why: string): void => this.fail('wrongWords', `the source's host says ${ending.as}: ${why}`)
    switch (ending.as) {
      case 'completed':
        if (!destination.isReleased) return wrong('it was not released')
        if (!this.#isAsItShould(ending.state)) wrong(`it is not ${ending.state}`)
        return
      case 'kept':
        if (!source.keeps && !['none', 'failed', 'cancelled'].includes(source.status)) wrong(`it is ${source.status}`)
        if (source.status === 'none' && !source.isAlive && !this.isExcused) wrong('it is dead')
        return
      case 'lost':
        if (this.isSourceWhole || this.isDestinationWhole) wrong('a whole copy is left')
        return
      case 'held':
        if (source.isAlive && source.runState === 'running') wrong('the source runs')
        if (destination.isAlive && destination.runState === 'running') wrong('the destination runs')
        return
      case 'cut':
        if (!source.isPast || source.keeps) wrong(`it is ${source.status}`)
        return
      case 'unconfirmed':
        if (source.keeps) wrong('the source went on')
        if (source.isAlive && source.status !== 'completed' && !source.isPast) wrong(`it is ${source.status}`)
        return
      case 'orphaned':
        if (source.isAlive || source.keeps) wrong('the source lives')
        return
      default:
    }
  }

  incoming(ending: IncomingEnding): void {
    this.lastIncoming = ending
    const { source, destination } = this.#world
    const wrong = (why: string): void => this.fail('wrongWords', `the destination's host says ${ending.as}: ${why}`)
    switch (ending.as) {
      case 'arrived':
        if (!destination.isReleased) return wrong('it was not released')
        if (!this.#isAsItShould(ending.state)) wrong(`it is not ${ending.state}`)
        return
      case 'failed':
        if (destination.isAlive && destination.isReleased) wrong('it was released')
        return
      case 'held':
        if (!destination.hasAll && !destination.hasPackage) wrong('it is not whole')
        return
      case 'ended': case 'fell':
        if (destination.isAlive) wrong('its QEMU lives')
        return
      case 'cut':
        if (!destination.hasPackage) wrong('it has no part of it')
        return
      case 'estimated':
        if (source.keeps) wrong('something was moved')
        return
      default:
    }
  }

  /** It arrived as it was at switchover; an operator may let one run whose state was unknown. */
  #isAsItShould(state: GuestState): boolean {
    return state === this.#world.source.atSwitchover || (this.settledAs === 'run' && state === 'running')
  }

  /** Called once everything is at rest. */
  judgeRest(): void {
    const { source, destination, hosts } = this.#world
    for (const host of [hosts.source, hosts.destination]) {
      const { runner, side } = host
      if (runner?.isStandingBack === true) this.fail('wedged', `the ${side}'s host still stands back`)
      if (runner?.isDelivered === false) this.fail('wedged', `no result at the ${side}: ${runner.state.at}`)
      if (host.qemu.isAlive && !host.qemu.isStuck && host.qemu.hasSettings && host.qemu.putBack()) {
        this.fail('settingsLeft', `the ${side} QEMU has settings of ours`)
      }
      if (runner !== undefined && runner.state.at !== 'over' && !this.isExcused) {
        this.fail('wedged', `the ${side}'s end rests ${runner.state.at}`)
      }
    }
    if (this.isExcused) return
    if (!this.isSourceWhole && !this.isDestinationWhole) return this.fail('lost', 'no whole copy is left')
    if (source.keeps || !destination.hasAll) return this.#judgeKept()
    if (!destination.isReleased) return this.fail('wedged', `the arrived guest is ${destination.runState}`)
    if (!this.#isAsItShould(destination.runState)) {
      this.fail('wedged', `it was ${source.atSwitchover} at switchover, and is ${destination.runState}`)
    }
    const { lastOutgoing } = this
    if (lastOutgoing !== undefined && lastOutgoing.as !== 'completed' && hosts.source.runner !== undefined) {
      this.fail('wrongWords', `it arrived, and the source's host says ${lastOutgoing.as}`)
    }
  }

  #judgeKept(): void {
    const { source, destination } = this.#world
    const runs = source.runState === 'running'
    if (runs !== (source.intended === 'running')) {
      this.fail('wedged', `the guest is ${source.runState} at the source, and should be ${source.intended}`)
    }
    if (destination.isAlive && (destination.hasAll || destination.hasPackage)) {
      this.fail('wedged', 'a copy was left at the destination')
    }
    const { lastOutgoing } = this
    if (lastOutgoing !== undefined && !['kept', 'estimated', 'held'].includes(lastOutgoing.as)) {
      this.fail('wrongWords', `the source keeps it, and its host says ${lastOutgoing.as}`)
    }
  }
}
