import type { DiscoveredGuest } from './discovery.ts'

/** Called when a guest appears or goes. A guest whose memory changed is removed and added. */
export type ChangeListener = (change: 'added' | 'removed', guest: DiscoveredGuest) => void

/** Listeners for guests that appear or go. */
export class ChangeListeners {
  readonly #listeners = new Set<ChangeListener>()

  /** Adds a listener; returns a function that removes it. */
  add(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(...news: Parameters<ChangeListener>): void {
    for (const listener of this.#listeners) listener(...news)
  }
}
