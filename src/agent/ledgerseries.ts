/** Samples that are kept, and told, at most. */
export const SAMPLES_MAX = 64
/** Between two samples at first; twice as long each time that there is no more room. */
const PERIOD_MS_MIN = 10_000

/** What a host had saved and spent at some time since its agent started. */
export interface LedgerSample {
  agoMs: number
  savedBytes: number
  spentBytes: number
}

/**
 * The ledger of this host over time. It always reaches back to the start of the agent: when it is full, every second
 * sample goes, and those that follow lie twice as far apart.
 */
export class LedgerSeries {
  #samples: { at: number; savedBytes: number; spentBytes: number }[] = []
  #periodMs = PERIOD_MS_MIN

  /** Notes what the ledger says at `now`, unless that is too soon after the last sample. */
  note(now: number, { savedBytes, spentBytes }: Omit<LedgerSample, 'agoMs'>): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && now - last.at < this.#periodMs) return
    this.#samples.push({ at: now, savedBytes, spentBytes })
    if (this.#samples.length < SAMPLES_MAX) return
    this.#samples = this.#samples.filter((_, index) => index % 2 === 0)
    this.#periodMs *= 2
  }

  /** The oldest first. */
  list(now: number): LedgerSample[] {
    return this.#samples.map(({ at, savedBytes, spentBytes }) => (
      { agoMs: Math.round(now - at), savedBytes, spentBytes }))
  }
}
