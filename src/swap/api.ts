/** What swap does for the rest of the agent. */
import type { Prefixes } from '../page/index.ts'

/** Why pages are fetched: to be kept, under the cap; or because an arriving guest needs them now. */
export type SwapPurpose = 'placement' | 'handoff'

/** Pages to fetch, the most urgent first. */
export interface WantedPages extends Prefixes {
  /** Names of members that may have page `index`, each once; names that are not in the mesh are skipped. */
  holdersOf: (index: number) => readonly string[]
}

/** Arrived pages. Their ids are the hashes of the bytes, and begin with the wanted prefixes. */
export interface ArrivedPages {
  count: number
  /** 16 bytes each. */
  ids: Buffer
  /** 4096 bytes each. */
  bytes: Buffer
  /** Index of each among the wanted pages. */
  indices: Uint32Array
}

export interface FetchInit {
  purpose: SwapPurpose
  /** Takes each batch of pages as it arrives; its memory is reused once this resolves. One call at a time. */
  deliver: (pages: ArrivedPages) => Promise<void> | void
  signal: AbortSignal
}

/** The counts add up to the wanted pages. */
export interface FetchCounts {
  fetched: number
  /** No holder that was asked had it, or delivered it in time. */
  missing: number
}

export interface SwapTraffic {
  sentBytes: number
  receivedBytes: number
}

export interface Swap {
  /** Bytes on the wire by purpose, counted at this host, as asker and as holder. */
  readonly traffic: Readonly<Record<SwapPurpose, SwapTraffic>>
  /** Pages served to others, and fetched from others, since start; `wrong` had bytes that did not match. */
  readonly pages: { served: number; fetched: number; missing: number; wrong: number }
  /**
   * Fetches pages from other members; resolves when each was delivered or given up. Dead, slow and lying peers cost
   * bounded time, and nothing else. Rejects with the signal's reason, or with the error of `deliver`. Several fetches
   * may run at once: a page is asked for once at a time, and shared when it arrives; only an arriving guest does not
   * wait for what placement has under way. Each holds 4096 pages (16 MiB) at most.
   */
  fetch(wanted: WantedPages, init: FetchInit): Promise<FetchCounts>
  /** Pauses proactive traffic, both ways, while a guest moves; returns the function that resumes it. */
  standBack(): () => void
  start(): Promise<void>
  stop(): Promise<void>
}
