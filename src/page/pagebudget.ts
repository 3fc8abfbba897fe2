/**
 * Memory for pages fetched from peers, shared by all incoming handoffs of a host and counted in pages. Each takes at
 * most half of the rest, so that later ones get some too.
 */
export class PageBudget {
  #left: number

  constructor(pagesMax: number) {
    this.#left = pagesMax
  }

  /** Takes up to `wanted` pages; returns how many were granted. */
  reserve(wanted: number): number {
    const granted = Math.min(wanted, Math.floor(this.#left / 2))
    this.#left -= granted
    return granted
  }

  release(granted: number): void {
    this.#left += granted
  }
}
