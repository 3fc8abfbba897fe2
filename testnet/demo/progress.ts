import type { Clock } from '../../src/runtime/clock.ts'

/** The output; on a terminal the line of a running step counts its seconds in place. */
export interface ProgressOutput {
  write(text: string): unknown
  isTTY?: boolean
}

const TICK_MS = 1000
/** Without a terminal, a long step prints a line after this many ticks. */
const TICKS_A_LINE = 10

/** Prints the running step, its seconds so far, and its end. */
export class Progress {
  readonly #output: ProgressOutput
  readonly #clock: Clock
  readonly #startedAt: number

  constructor(components: { output: ProgressOutput; clock: Clock }) {
    this.#output = components.output
    this.#clock = components.clock
    this.#startedAt = this.#clock.now()
  }

  /** Prints a line of its own. */
  say(text: string): void {
    this.#output.write(`${this.#time()} ${text}\n`)
  }

  /** Runs `work` as a step with its own line; rethrows its error. */
  async step<T>(what: string, work: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock.now()
    const seconds = (): number => Math.round((this.#clock.now() - startedAt) / 1000)
    const onTerminal = this.#output.isTTY === true
    let ticks = 0
    this.#output.write(onTerminal ? `${this.#time()} ${what} ...` : `${this.#time()} ${what} ...\n`)
    const timer = this.#clock.every(TICK_MS, () => {
      ticks += 1
      if (onTerminal) this.#output.write(`\r${this.#time()} ${what} ... ${seconds()} s\u001B[K`)
      else if (ticks % TICKS_A_LINE === 0) this.say(`${what} ... ${seconds()} s`)
    })
    try {
      const result = await work()
      if (onTerminal) this.#output.write(`\r${this.#time()} ${what}: done\u001B[K\n`)
      return result
    } catch (error) {
      if (onTerminal) this.#output.write('\n')
      throw error
    } finally {
      timer.cancel()
    }
  }

  #time(): string {
    return `[${Math.round((this.#clock.now() - this.#startedAt) / 1000).toString().padStart(3)} s]`
  }
}
