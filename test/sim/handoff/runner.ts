/**
 * Carries out the effects of a conversation's end, as thinly as the real runners: in order; a first record delays what
 * follows; a wait belongs to the state that set it.
 */
import { LIMITS_MS, type RunState, type Wait } from '../../../src/conversation/conversation.ts'
import type { IncomingEvent } from '../../../src/conversation/incomingstate.ts'
import type { OutgoingEvent } from '../../../src/conversation/outgoingstate.ts'
import type { Timer } from '../../../src/runtime/clock.ts'
import type { ModelDisk } from './disk.ts'
import type { Side } from './modelqemu.ts'
import type { World } from './world.ts'

export interface Recorded<As> {
  as: As
  runState: RunState
}

interface Machine {
  state: { at: string }
  event: { kind: string }
  effect: { do: string }
  as: string
}

interface Step<Of extends Machine> {
  state: Of['state']
  effects: Of['effect'][]
}

export abstract class Runner<Of extends Machine> {
  readonly world: World
  readonly side: Side
  state: Of['state']
  isStandingBack = false
  /** The result was delivered, so that the guest's name is free. */
  isDelivered = false
  /** The agent lives. */
  isLive = true
  readonly #disk: ModelDisk<Recorded<Of['as']>>
  readonly #effects: { effect: Of['effect']; at: string }[] = []
  #isHeldUp = false
  #isDraining = false
  #timer: Timer | undefined

  constructor(world: World, side: Side, disk: ModelDisk<Recorded<Of['as']>>, state: Of['state']) {
    this.world = world
    this.side = side
    this.#disk = disk
    this.state = state
  }

  abstract step(state: Of['state'], event: Of['event']): Step<Of>
  /** The effects of one end only. */
  abstract perform(effect: Of['effect']): void

  dispatch(event: Of['event']): void {
    if (!this.isLive) return
    const before = this.state.at
    this.take(this.step(this.state, event), event.kind)
    this.world.visited(this.side, before, event as unknown as OutgoingEvent | IncomingEvent, this.state.at)
  }

  take({ state, effects }: Step<Of>, why: string): void {
    const { at } = state
    if (this.state.at !== at) {
      this.#timer?.cancel()
      this.world.changed(this.side, at)
    }
    // Repeated questions that change nothing are not noted.
    const isQuiet = effects.every((effect) => ['ask', 'answer', 'wait'].includes(effect.do)) && this.state.at === at
    if (this.world.isTraced && !isQuiet) {
      this.world.note(this.side, `agent: ${why} ->`, at, JSON.stringify(effects))
    }
    this.state = state
    for (const effect of effects) this.#effects.push({ effect, at })
    this.world.reach(`${this.side} ${at}`)
    this.#drain()
  }

  #drain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    while (this.#effects.length > 0 && !this.#isHeldUp && this.isLive) {
      const { effect, at } = this.#effects.shift()!
      this.#carryOut(effect, at)
    }
    this.#isDraining = false
  }

  #carryOut(effect: Of['effect'], at: string): void {
    switch (effect.do) {
      case 'standBack':
        this.isStandingBack = true
        return
      case 'goOn':
        this.isStandingBack = false
        return
      case 'wait':
        return this.#wait((effect as unknown as { wait: Wait }).wait, at)
      case 'record':
        return this.#record(effect as unknown as Recorded<Of['as']> & { isFirst: boolean })
      case 'forget':
        return this.#writeFirst(() => { this.#disk.record = undefined })
      default:
        this.perform(effect)
    }
  }

  #wait(wait: Wait, at: string): void {
    if (at !== this.state.at) return
    this.#timer?.cancel()
    this.#timer = this.world.clock.after(LIMITS_MS[wait], () => {
      if (this.state.at === at) this.dispatch({ kind: 'late', wait } as unknown as Of['event'])
    })
  }

  #record({ as, runState, isFirst }: Recorded<Of['as']> & { isFirst: boolean }): void {
    const write = (): void => { this.#disk.record = { as, runState } }
    if (isFirst) this.#writeFirst(write)
    else this.#disk.write(write)
  }

  #writeFirst(write: () => void): void {
    this.#isHeldUp = true
    this.#disk.write(write, () => {
      this.#isHeldUp = false
      this.#drain()
    })
  }

  /** A result is delivered only when background work is resumed. */
  delivered(): void {
    this.isDelivered = true
    if (this.isStandingBack) this.world.truth.fail('wedged', `the ${this.side}'s host told a result, and stands back`)
  }

  die(): void {
    this.isLive = false
    this.#timer?.cancel()
  }
}
