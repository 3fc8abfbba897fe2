import type { Clock } from '../runtime/clock.ts'
import type { HandoffMeasure, HandoffProgress } from '../transfer/index.ts'

const RATE_OVER_MS = 1000
/** QEMU has made two passes when it begins the third. */
const PASSES_BEGUN = 3

/** Turns counters with their times into progress: percent done, and the rate over the last second. */
export class ProgressMeter {
  readonly #clock: Clock
  readonly #about: Pick<HandoffProgress, 'guest' | 'from' | 'to' | 'mode'>
  readonly #startedAt: number
  readonly #history: { at: number; wireBytes: number; qemuBytes: number }[] = []

  constructor(components: { clock: Clock }, about: Pick<HandoffProgress, 'guest' | 'from' | 'to' | 'mode'>) {
    this.#clock = components.clock
    this.#about = about
    this.#startedAt = components.clock.now()
  }

  measure(now: HandoffMeasure): HandoffProgress {
    const at = this.#clock.now()
    this.#history.push({ at, wireBytes: now.wireBytes, qemuBytes: now.qemuBytes })
    while (this.#history.length > 2 && at - this.#history[1]!.at >= RATE_OVER_MS) this.#history.shift()
    const oldest = this.#history[0]!
    const elapsedMs = at - oldest.at
    const perSecond = (bytes: number): number => elapsedMs <= 0 ? 0 : (bytes / elapsedMs) * 1000
    const { phase, qemuBytes, wireBytes, remainingBytes, totalBytes } = now
    return {
      ...this.#about,
      phase,
      elapsedMs: Math.round(at - this.#startedAt),
      percent: totalBytes === 0 ? 0 : Math.min(100, Math.max(0, 100 * (1 - remainingBytes / totalBytes))),
      qemuBytes,
      wireBytes,
      wireBytesPerSecond: perSecond(wireBytes - oldest.wireBytes),
      remainingBytes,
      ...whyEndless(now, perSecond(qemuBytes - oldest.qemuBytes)),
    }
  }
}

/** The rates that keep a pre-copy from its end, if they do. */
function whyEndless(
  { phase, passes, dirtyBytesPerSecond }: HandoffMeasure, carriedBytesPerSecond: number,
): Pick<HandoffProgress, 'dirtyBytesPerSecond' | 'carriedBytesPerSecond'> {
  const isEndless = phase === 'precopy' && passes >= PASSES_BEGUN && dirtyBytesPerSecond >= carriedBytesPerSecond
  return isEndless && carriedBytesPerSecond > 0 ? { dirtyBytesPerSecond, carriedBytesPerSecond } : {}
}
