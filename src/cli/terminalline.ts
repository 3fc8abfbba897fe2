import type { Clock } from '../runtime/clock.ts'

/** Interval of progress lines without a terminal. */
const LINE_EVERY_MS = 3000

export interface ProgressOutput {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** A line of progress: in place on a terminal; elsewhere a new one at an interval. */
export class TerminalLine {
  readonly #output: ProgressOutput
  readonly #clock: Clock
  #shownAt = -Infinity
  #isOpen = false

  constructor(components: { output: ProgressOutput; clock: Clock }) {
    this.#output = components.output
    this.#clock = components.clock
  }

  /** `isNew`: shown at once also without a terminal. */
  show(line: string, isNew = false): void {
    if (this.#output.isTTY === true) {
      // A line that wraps could not be overwritten. `ESC [K` clears the rest of a longer line before.
      this.#output.write(`\r${line.slice(0, (this.#output.columns ?? 80) - 1)}\u001B[K`)
      this.#isOpen = true
      return
    }
    const now = this.#clock.now()
    if (!isNew && now - this.#shownAt < LINE_EVERY_MS) return
    this.#shownAt = now
    this.#output.write(`${line}\n`)
  }

  /** Prints a message after the line. */
  say(text: string): void {
    this.end()
    this.#output.write(`${text}\n`)
  }

  /** Prints a message in place of the line. */
  replace(text: string): void {
    if (this.#isOpen) this.#output.write('\r\u001B[K')
    this.#isOpen = false
    this.#output.write(`${text}\n`)
  }

  /** Ends the terminal's line. */
  end(): void {
    if (this.#isOpen) this.#output.write('\n')
    this.#isOpen = false
  }
}
