/**
 * Pages traded between hosts: want and have in batches, pages compressed together, every page hashed on arrival. A peer
 * whose pages are not what they claim to be loses its standing, and the pages are had from the next one. Proactive
 * traffic has a rate cap of its own, both ways, and stands back while a guest moves.
 */
export type { ArrivedPages, FetchCounts, FetchInit, Swap, SwapPurpose, SwapTraffic, WantedPages } from './api.ts'
export { Prefetch, type PeerPages } from './prefetch.ts'
export { createSwap, type SwapComponents, type SwapInit } from './swap.ts'
