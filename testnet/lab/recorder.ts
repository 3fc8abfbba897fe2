import type { Clock } from '../../src/runtime/clock.ts'
import type { MoveRecord, RunRecord } from './record.ts'

/** Writes a run's record while it happens. */
export class Recorder {
  readonly record: RunRecord
  readonly #clock: Clock
  readonly #say: (text: string) => void
  #startedAt: number

  /** `say` is called with every event as it happens. */
  constructor(components: { clock: Clock; say: (text: string) => void }, init: { scenario: string }) {
    this.#clock = components.clock
    this.#say = components.say
    this.#startedAt = this.#clock.now()
    this.record = {
      scenario: init.scenario, durationMs: 0, events: [], moves: [], doubles: [], guests: [], agents: [],
    }
  }

  /** The first step begins: all times count from here. */
  begin(): void {
    this.#startedAt = this.#clock.now()
  }

  /** The last step has ended. */
  end(): void {
    this.record.durationMs = this.now()
  }

  /** Since the first step began, whole ms. */
  now(): number {
    return Math.round(this.#clock.now() - this.#startedAt)
  }

  event(what: string): void {
    this.record.events.push({ atMs: this.now(), what })
    this.#say(what)
  }

  move(move: MoveRecord): void {
    this.record.moves.push(move)
  }

  /** A guest was found running in two QEMUs. */
  double(guest: string, hosts: readonly string[]): void {
    const what = `${guest} runs on ${hosts.join(' and on ')} at ${(this.now() / 1000).toFixed(1)} s`
    this.record.doubles.push(what)
    this.event(what)
  }
}
