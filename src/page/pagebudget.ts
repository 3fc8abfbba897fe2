/**
 * Memory for pages fetched from peers, shared by all incoming handoffs of a host and counted in pages. Each takes at
 * most half of the rest, so that later ones get some too.
 */
export class PageBudget {
  #remaining: number

  constructor(pagesMax: number) {
    this.#remaining = pagesMax
  }

  /** Takes up to `wanted` pages; returns how many were granted. */
  reserve(wanted: number): number {
    const granted = Math.min(wanted, Math.floor(this.#remaining / 2))
    this.#remaining -= granted
    return granted
  }

  release(granted: number): void {
    this.#remaining += granted
  }
}
