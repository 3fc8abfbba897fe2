/**
 * Which pages this host should keep: the head of what is popular, kept by every host; the tail, each page on a few
 * hosts; and, in the room that both leave, the stable pages of guests that left, for they often come back. What is
 * resident here needs no keeping.
 */
export type { Keeper, PlacementTotals, StablePages } from './api.ts'
export { createKeeper, type KeeperInit } from './keeper.ts'
