import type { NamePins } from '../members/namepins.ts'

/** Peers remembered; the one not met for longest is dropped first. */
const PEERS_MAX = 64

/**
 * Peers that this host expected to be members and that hold another cluster key: those that it dialed, and those whose
 * identity has a name. Each is the peer that it says it is, because the proof follows a handshake that shows that.
 */
export class OtherKeys {
  readonly #peerIds = new Set<string>()
  readonly #pins: NamePins | undefined

  constructor({ pins }: { pins?: NamePins }) {
    this.#pins = pins
  }

  met(peerId: string, isDialed: boolean): void {
    if (!isDialed && this.#pins?.nameOf(peerId) === undefined) return
    this.#peerIds.delete(peerId)
    this.#peerIds.add(peerId)
    if (this.#peerIds.size > PEERS_MAX) this.#peerIds.delete(this.#peerIds.values().next().value!)
  }

  /** It proved the key that this host has now. */
  forget(peerId: string): void {
    this.#peerIds.delete(peerId)
  }

  list(): string[] {
    return [...this.#peerIds]
  }
}
