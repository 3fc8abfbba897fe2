import { setTimeout } from 'node:timers/promises'

import { seededRandom, shuffled } from '../support/random.ts'
import type { Witness } from '../support/witness.ts'

const LOOK_EVERY_MS = 10
/** The rate of memory is averaged over this many polls. */
const LOOKS = 20
const MARGIN_BYTES = 2 ** 20

/**
 * Resolves about `leadMs` before the guest will stop: when the rest of its memory will take that long at the present
 * rate. The time of earlier moves says little on a busy machine. Resolves when the guest stops at the latest.
 */
export async function beforeStop(source: Witness, leadMs: number, sinceMs: number): Promise<void> {
  const looks: { atMs: number; remainingBytes: number }[] = []
  while (source.client.isOpen && source.stoppedSince(sinceMs) === undefined) {
    const { status, ram } = await source.client.execute('query-migrate').catch(() => ({})) as
      { status?: string; ram?: { remaining: number } }
    if (status === 'active' && ram !== undefined) {
      const atMs = performance.now()
      looks.push({ atMs, remainingBytes: ram.remaining })
      const first = looks.splice(0, Math.max(0, looks.length - LOOKS))[0] ?? looks[0]!
      const sentBytes = first.remainingBytes - ram.remaining
      const leftMs = (ram.remaining - MARGIN_BYTES) / sentBytes * (atMs - first.atMs)
      if (sentBytes > 0 && leftMs <= leadMs) return
    }
    await setTimeout(LOOK_EVERY_MS)
  }
}

/**
 * Resolves once this many percent are sent of the memory that was left when QEMU first reported `status`; to false if
 * the move was over before.
 */
export async function untilSent(
  source: Witness, percent: number, status: 'active' | 'postcopy-active', over: Promise<unknown>,
): Promise<boolean> {
  let isOver = false
  void over.then(() => { isOver = true })
  let leftBytes: number | undefined
  while (!isOver && source.client.isOpen) {
    // A QEMU that hands its guest over may answer late.
    const said = await source.client.execute('query-migrate').catch(() => ({})) as
      { status?: string; ram?: { remaining: number } }
    if (said.status === status && said.ram !== undefined) {
      leftBytes ??= said.ram.remaining
      if (said.ram.remaining <= leftBytes * (1 - percent / 100)) return true
    }
    await setTimeout(LOOK_EVERY_MS)
  }
  return false
}

/** `count` moments spread evenly from `fromMs` to `toMs`, one at random in each part, in random order. */
export function spreadMoments(seed: number, count: number, fromMs: number, toMs: number): number[] {
  const random = seededRandom(seed)
  const partMs = (toMs - fromMs) / count
  return shuffled(Array.from({ length: count }, (_, part) => fromMs + (part + random()) * partMs), random)
}

/** A histogram as text, in steps of 50 ms: when the strikes really happened. */
export function histogram(valuesMs: readonly number[]): string {
  const counts = new Map<number, number>()
  for (const value of valuesMs) {
    const part = Math.floor(value / 50) * 50
    counts.set(part, (counts.get(part) ?? 0) + 1)
  }
  return [...counts].sort(([left], [right]) => left < right ? -1 : 1)
    .map(([part, count]) => `${part === -Infinity ? 'no STOP' : part}: ${count}`).join(', ')
}
