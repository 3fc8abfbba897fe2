import type { Clock, Timer } from '../runtime/clock.ts'

/** One step of a pure state machine; the state's `at` names its variant. */
export type Step<State extends { at: string }, Event, Effect> =
  (state: State, event: Event) => { state: State; effects: readonly Effect[] }

export interface MachineInit<State extends { at: string }, Event, Effect> {
  state: State
  step: Step<State, Event, Effect>
  /**
   * Carries out one effect. The next effect and the next event wait for the returned promise; long work is only begun
   * here, and its end comes back as an event. What it throws is a fault of this host and goes to `onError`.
   */
  perform: (effect: Effect) => Promise<void> | void
  onError: (error: unknown) => void
  onState?: (state: State) => void
}

/** Runs a state machine: events one after the other, the effects of each in order. */
export class Machine<State extends { at: string }, Event, Effect> {
  readonly #clock: Clock
  readonly #init: MachineInit<State, Event, Effect>
  readonly #events: Event[] = []
  #state: State
  /** An event is being processed: others wait for it. */
  #isWorking = false
  #wait: Timer | undefined

  constructor(components: { clock: Clock }, init: MachineInit<State, Event, Effect>) {
    this.#clock = components.clock
    this.#init = init
    this.#state = init.state
  }

  get state(): State {
    return this.#state
  }

  /** Takes an event, which is processed now or after the present one. */
  send(event: Event): void {
    this.#events.push(event)
    if (!this.#isWorking) this.#work()
  }

  /** Continues from a step that was made elsewhere: its state, and its effects before any event. */
  goOn({ state, effects }: { state: State; effects: readonly Effect[] }): void {
    this.#isWorking = true
    this.#become(state)
    this.#performFrom(effects, 0)
  }

  /** Sends `event` after `delayMs`, unless the machine has changed its state or waits for something else by then. */
  wait(delayMs: number, event: Event): void {
    this.#wait?.cancel()
    this.#wait = this.#clock.after(delayMs, () => this.send(event))
  }

  /** Cancels the wait. */
  stop(): void {
    this.#wait?.cancel()
  }

  #work(): void {
    this.#isWorking = true
    const event = this.#events.shift()
    if (event === undefined) {
      this.#isWorking = false
      return
    }
    const { state, effects } = this.#init.step(this.#state, event)
    this.#become(state)
    this.#performFrom(effects, 0)
  }

  /** Effects without a promise are all carried out at once: nothing comes in between. */
  #performFrom(effects: readonly Effect[], first: number): void {
    for (let index = first; index < effects.length; index++) {
      const pending = this.#perform(effects[index]!)
      if (pending === undefined) continue
      // Never rejects.
      void pending.then(() => this.#performFrom(effects, index + 1))
      return
    }
    this.#work()
  }

  #become(state: State): void {
    const hasMoved = state.at !== this.#state.at
    this.#state = state
    if (hasMoved) this.#wait?.cancel()
    this.#init.onState?.(state)
  }

  /** Never throws, and its promise never rejects. */
  #perform(effect: Effect): Promise<void> | undefined {
    try {
      return this.#init.perform(effect)?.catch(this.#init.onError)
    } catch (error) {
      this.#init.onError(error)
      return undefined
    }
  }
}
