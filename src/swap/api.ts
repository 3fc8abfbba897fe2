/** What swap does for the rest of the agent. */
import type { Prefixes } from '../page/index.ts'

/** Why pages are fetched: to be kept, under the cap; or because a guest that arrives needs them now. */
export type SwapPurpose = 'placement' | 'handoff'

/** Pages to fetch, the most urgent first. */
export interface WantedPages extends Prefixes {
  /** Names of members that may have page `index`, none twice; those that are not in the mesh are passed over. */
  holdersOf: (index: number) => readonly string[]
}

/** Pages that came. Ids are what the bytes hash to, and begin with the wanted prefixes. */
export interface ArrivedPages {
  count: number
  /** 16 bytes each. */
  ids: Buffer
  /** 4096 bytes each. */
  bytes: Buffer
  /** Which of the wanted pages each one is. */
  indices: Uint32Array
}

export interface FetchInit {
  purpose: SwapPurpose
  /** Takes each batch of pages as it comes; its memory is used again once this resolves. One call at a time. */
  deliver: (pages: ArrivedPages) => Promise<void> | void
  signal: AbortSignal
}

/** Together they are all that was wanted. */
export interface FetchCounts {
  fetched: number
  /** Nobody who was asked had it, or gave it in time. */
  missing: number
}

export interface SwapTraffic {
  sentBytes: number
  receivedBytes: number
}

export interface Swap {
  /** Bytes on the wire by purpose, counted at this host, both as the one who asks and as the one who is asked. */
  readonly traffic: Readonly<Record<SwapPurpose, SwapTraffic>>
  /** Pages that were served to others, and fetched from others, since start; `wrong` are those that were not right. */
  readonly pages: { served: number; fetched: number; missing: number; wrong: number }
  /**
   * Fetches pages from other members; resolves when each was delivered or given up. Dead, slow and lying peers cost
   * time, bounded, and nothing else. Rejects with the signal's reason, or with what `deliver` threw.
   * Several may run at once: a page is asked for once at a time, and shared when it comes; only a guest that arrives
   * does not wait for what placement has under way. Each holds 4096 pages (16 MiB) at most.
   */
  fetch(wanted: WantedPages, init: FetchInit): Promise<FetchCounts>
  /** Makes proactive traffic wait, both ways, while a guest moves; returns how to let it go on. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
