/**
 * Pages traded between hosts: want and have in batches, pages compressed together, every page hashed on arrival. A peer
 * whose pages are not what they claim to be is dropped and remembered. Proactive traffic has a rate cap of its own.
 *
 * Nothing implements this yet: here stands what the rest may expect of it.
 */
import type { PageSource } from '../page/index.ts'

/** Pages out of other hosts' memories and stores. */
export interface PeerSource extends PageSource {
  readonly kind: 'peer'
}

/** Bytes on the wire, counted at this host. */
export interface SwapTraffic {
  sentBytes: number
  receivedBytes: number
}
