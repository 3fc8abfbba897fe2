/**
 * Pages traded between hosts: wanted and answered in batches, compressed together, every page hashed on arrival. A peer
 * that sends wrong pages loses its standing, and the pages come from the next one. Proactive traffic has its own rate
 * cap for both ways together, and pauses while a guest moves.
 */
export type { ArrivedPages, FetchCounts, FetchInit, Swap, SwapPurpose, SwapTraffic, WantedPages } from './api.ts'
export { Prefetch, type PeerPages } from './prefetch.ts'
export type { Confirm } from './reading.ts'
export { createSwap, type SwapComponents, type SwapInit } from './swap.ts'
