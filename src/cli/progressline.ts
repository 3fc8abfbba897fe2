import type { HandoffPhase, HandoffProgress } from '../index.ts'
import type { Clock } from '../runtime/clock.ts'
import { printable } from '../text/printable.ts'
import { formatBytes, formatRate } from '../text/units.ts'
import { TerminalLine, type ProgressOutput } from './terminalline.ts'

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

/** Shows progress: in place on a terminal; elsewhere as a line at every new phase and at an interval. */
export class ProgressLine {
  readonly #line: TerminalLine
  #shownPhase: HandoffPhase | undefined

  constructor(components: { output: ProgressOutput; clock: Clock }) {
    this.#line = new TerminalLine(components)
  }

  show(progress: HandoffProgress): void {
    this.#line.show(describeProgress(printable(progress)), progress.phase !== this.#shownPhase)
    this.#shownPhase = progress.phase
  }

  /** Prints a message between or after the lines of progress. */
  say(text: string): void {
    this.#line.say(text)
  }

  /** Ends the terminal's line. */
  end(): void {
    this.#line.end()
  }
}
