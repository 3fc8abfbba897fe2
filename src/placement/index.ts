/**
 * Which pages this host should keep: the head, the most popular pages, on every host; the tail, each page on a few
 * hosts; and in the rest of the room the stable pages of guests that left, because guests often come back. Pages that
 * are resident here need not be kept.
 */
export type { Keeper, PlacementTotals, StablePages } from './api.ts'
export { Holders } from './holders.ts'
export { createKeeper, type KeeperInit } from './keeper.ts'
