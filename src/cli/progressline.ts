import type { HandoffPhase, HandoffProgress } from '../index.ts'
import type { Clock } from '../runtime/clock.ts'
import { printable } from '../text/printable.ts'
import { formatBytes, formatRate } from '../text/units.ts'

/** Interval of progress lines without a terminal. */
const LINE_EVERY_MS = 3000

/** Percent of QEMU's bytes that did not have to be sent; negative if more was sent. Pure. */
export function savedPercent({ qemuBytes, wireBytes }: { qemuBytes: number; wireBytes: number }): number {
  return qemuBytes === 0 ? 0 : (1 - wireBytes / qemuBytes) * 100
}

/** A handoff's progress as one line. Pure. */
function describeProgress(progress: HandoffProgress): string {
  const { guest, to, percent, phase, why, wireBytes, wireBytesPerSecond, remainingBytes, qemuBytes } = progress
  const { dirtyBytesPerSecond, carriedBytesPerSecond } = progress
  if (phase === 'queued') return `${guest} -> ${to}  queued: ${why ?? ''}`
  // At the beginning, the agents' own messages are more than QEMU has written.
  const hasSaved = wireBytes < qemuBytes
  const saved = hasSaved ? `, saved ${savedPercent(progress).toFixed(0)} % of ${formatBytes(qemuBytes)}` : ''
  const endless = dirtyBytesPerSecond === undefined || carriedBytesPerSecond === undefined ? ''
    : `; dirties ${formatBytes(dirtyBytesPerSecond)}/s, the link carries ${formatBytes(carriedBytesPerSecond)}/s`
  return `${guest} -> ${to}  ${Math.floor(percent)} %  ${phase}  ${formatRate(wireBytesPerSecond)}` +
    `  sent ${formatBytes(wireBytes)}${saved}, ${formatBytes(remainingBytes)} remaining${endless}`
}

export interface ProgressOutput {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** Shows progress: in place on a terminal; elsewhere as a line at every new phase and at an interval. */
export class ProgressLine {
  readonly #output: ProgressOutput
  readonly #clock: Clock
  #shownAt = -Infinity
  #shownPhase: HandoffPhase | undefined
  #isLineOpen = false

  constructor(components: { output: ProgressOutput; clock: Clock }) {
    this.#output = components.output
    this.#clock = components.clock
  }

  show(progress: HandoffProgress): void {
    const line = describeProgress(printable(progress))
    if (this.#output.isTTY === true) {
      // A line that wraps could not be overwritten. `ESC [K` clears the rest of a longer line before.
      this.#output.write(`\r${line.slice(0, (this.#output.columns ?? 80) - 1)}\u001B[K`)
      this.#isLineOpen = true
      return
    }
    const now = this.#clock.now()
    if (progress.phase === this.#shownPhase && now - this.#shownAt < LINE_EVERY_MS) return
    this.#shownAt = now
    this.#shownPhase = progress.phase
    this.#output.write(`${line}\n`)
  }

  /** Prints a message between or after the lines of progress. */
  say(text: string): void {
    this.end()
    this.#output.write(`${text}\n`)
  }

  /** Ends the terminal's line. */
  end(): void {
    if (this.#isLineOpen) this.#output.write('\n')
    this.#isLineOpen = false
  }
}
