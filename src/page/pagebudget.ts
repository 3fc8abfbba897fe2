/**
 * Memory that all incoming handoffs of a host share for pages fetched from peers, counted in pages. Each takes at most
 * half of what is left, so that one that begins later is not left with nothing.
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
