import type { DiscoveredGuest } from './discovery.ts'

/** Hears of a guest that has come or gone. One whose memory changed goes and comes. */
export type ChangeListener = (change: 'added' | 'removed', guest: DiscoveredGuest) => void

/** Everybody who is to hear of guests that come and go. */
export class ChangeListeners {
  readonly #listeners = new Set<ChangeListener>()

  /** Until the returned function is called. */
  add(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(...news: Parameters<ChangeListener>): void {
    for (const listener of this.#listeners) listener(...news)
  }
}
