/** What happened in a round, by everybody's clock: they are all the same machine's. */
export class Trace {
  readonly #lines: { atMs: number; text: string }[] = []

  add(who: string, what: string, atMs = Date.now()): void {
    this.#lines.push({ atMs, text: `${who.padEnd(8)} ${what}` })
  }

  /** Begins anew, so that a failure shows its own round only. */
  clear(): void {
    this.#lines.length = 0
  }

  /** When the first of it happened, milliseconds since 1970. */
  get firstMs(): number {
    return Math.min(...this.#lines.map(({ atMs }) => atMs))
  }

  /** In the order of time, milliseconds from the first. */
  toString(): string {
    const ordered = [...this.#lines].sort((left, right) => left.atMs - right.atMs)
    return ordered.map(({ atMs, text }) => `${(atMs - this.firstMs).toFixed(1).padStart(9)} ms  ${text}`).join('\n')
  }
}
