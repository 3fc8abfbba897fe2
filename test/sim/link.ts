import type { Chance } from '../support/chance.ts'

/** The network between hosts. Times in milliseconds, chances from 0 to 1. */
export interface LinkModel {
  /** One-way delay of most messages. */
  delayMs: { least: number; most: number }
  /** Some messages take longer, up to `most`. */
  tail: { chance: number; mostMs: number }
  /** Chance that a gossiped message does not reach a receiver, or that a stream does not open or breaks. */
  loss: number
  /** Chance that a gossiped message reaches a receiver twice. */
  duplicates: number
  /** From a crash until another host notices, separately for each. */
  crashNoticedMs: { least: number; most: number }
  /** From the start of a partition until a host notices the loss of one on the other side. */
  partitionNoticedMs: { least: number; most: number }
  /** Until two hosts that can reach each other are members of each other: after a start, and after healing. */
  joinMs: { least: number; most: number }
  rejoinMs: { least: number; most: number }
}

export const LINK_MODEL: LinkModel = {
  delayMs: { least: 0.2, most: 5 },
  tail: { chance: 0.01, mostMs: 200 },
  loss: 0.05,
  duplicates: 0.02,
  crashNoticedMs: { least: 1_000, most: 15_000 },
  partitionNoticedMs: { least: 5_000, most: 20_000 },
  joinMs: { least: 100, most: 3_000 },
  rejoinMs: { least: 1_000, most: 10_000 },
}

/** A one-way delay in milliseconds. */
export function drawDelay({ delayMs, tail }: LinkModel, chance: Chance): number {
  if (chance.happens(tail.chance)) return chance.between(delayMs.most, tail.mostMs)
  return chance.between(delayMs.least, delayMs.most)
}

export function draw(range: { least: number; most: number }, chance: Chance): number {
  return chance.between(range.least, range.most)
}
