/** The events of a round, by the clocks of all parties, which are one machine's. */
export class Trace {
  readonly #lines: { atMs: number; text: string }[] = []

  add(who: string, what: string, atMs = Date.now()): void {
    this.#lines.push({ atMs, text: `${who.padEnd(8)} ${what}` })
  }

  /** Clears it, so that a failure shows only its own round. */
  clear(): void {
    this.#lines.length = 0
  }

  /** Time of the first event, milliseconds since 1970. */
  get firstMs(): number {
    return Math.min(...this.#lines.map(({ atMs }) => atMs))
  }

  /** In order of time, milliseconds from the first. */
  toString(): string {
    const ordered = [...this.#lines].sort((left, right) => left.atMs - right.atMs)
    return ordered.map(({ atMs, text }) => `${(atMs - this.firstMs).toFixed(1).padStart(9)} ms  ${text}`).join('\n')
  }
}
