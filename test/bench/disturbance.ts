/**
 * How much slower a guest works while the census scans it: a real guest under TCG counts, and the census is on and off
 * in turn. While it is on, it scans without a pause, at the default rate: with the default interval it rests most of
 * the time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createCensus } from '../../src/census/index.ts'
import { discoverGuests } from '../../src/guest/index.ts'
import { OPTIONS } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { startCountingGuest, type CountingGuest } from '../interop/countingguest.ts'
import { spreadOf, type Spread } from './measure.ts'

export interface DisturbanceInit {
  rounds: number
  /** How long the guest is watched with the census on, and off, in each round, ms. */
  watchMs: number
}

export interface DisturbanceOutcome extends DisturbanceInit {
  /** Work of the guest with the census on, by that with it off in the same round. */
  ratio: Spread
  /** Pages that the census read a second while it was on. */
  pagesPerSecond: number
  residentPages: number
}

const MEMORY_MIB = 512
const FILLED_MIB = 256
/** From a switch of the census until the watch begins, ms. */
const SETTLE_MS = 500
/** How often the guest's beats are looked at, ms: they come about as often. */
const LOOK_MS = 2

export async function runDisturbance(init: DisturbanceInit): Promise<DisturbanceOutcome> {
  const directory = mkdtempSync(join(tmpdir(), 'pm-disturbance-'))
  const components = { clock: systemClock, log: silentLog }
  const qemu = await startCountingGuest({
    name: 'g', directory, memoryMiB: MEMORY_MIB, filledMiB: FILLED_MIB, backend: 'anonymous',
  })
  const discovery = discoverGuests(components, { globs: [`${directory}/*.qmp`] })
  try {
    await discovery.start()
    const ratios: number[] = []
    let pagesRead = 0
    let residentPages = 0
    for (let round = 0; round < init.rounds; round++) {
      const rates = { on: 0, off: 0 }
      // The one that goes first is another in every round: a machine that slows down favours neither.
      for (const side of round % 2 === 0 ? ['off', 'on'] as const : ['on', 'off'] as const) {
        const census = createCensus(components, {
          pageKey: new Uint8Array(32).fill(9), pagesPerSecond: defaultPagesPerSecond(), intervalMs: 1,
          bytesMax: 2 ** 30,
        })
        await census.start()
        if (side === 'on') census.add(discovery.guests()[0]!)
        await systemClock.sleep(SETTLE_MS)
        const scansBefore = census.totals.scans
        rates[side] = await beatsPerSecond(qemu, init.watchMs)
        const own = census.of('g')
        if (own !== undefined) residentPages = own.residentPages
        pagesRead += (census.totals.scans - scansBefore) * (own?.residentPages ?? 0)
        await census.stop()
      }
      ratios.push(rates.on / rates.off)
    }
    const pagesPerSecond = pagesRead / (init.rounds * init.watchMs / 1000)
    return { ...init, ratio: spreadOf(ratios), pagesPerSecond, residentPages }
  } finally {
    await discovery.stop()
    await qemu.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** From one beat to another, so that no part of a piece of work is counted as whole or as nothing. */
async function beatsPerSecond(qemu: CountingGuest, watchMs: number): Promise<number> {
  const first = await nextBeat(qemu)
  await systemClock.sleep(watchMs)
  const last = await nextBeat(qemu)
  return (last.beat - first.beat) / ((last.at - first.at) / 1000)
}

async function nextBeat(qemu: CountingGuest): Promise<{ beat: number; at: number }> {
  const before = qemu.beats()
  for (;;) {
    const beat = qemu.beats()
    if (beat !== before) return { beat, at: performance.now() }
    await systemClock.sleep(LOOK_MS)
  }
}

function defaultPagesPerSecond(): number {
  return Number(OPTIONS.find(({ key }) => key === 'census.pagesPerSecond')!.default)
}

export function formatDisturbance({ ratio, rounds, watchMs, ...outcome }: DisturbanceOutcome): string {
  const slowDown = (share: number): string => `${((1 - share) * 100).toFixed(1)} %`
  return [
    `A guest under TCG that counts, with the census on and off in turn, ${rounds} rounds of twice ${watchMs / 1000} s:`,
    `  slow-down        ${slowDown(ratio.median)}  (${slowDown(ratio.max)} to ${slowDown(ratio.min)}) while it is ` +
      `scanned without a pause, ${(outcome.pagesPerSecond / 1000).toFixed(0)} thousand pages a second of ` +
      `${(outcome.residentPages / 1000).toFixed(0)} thousand`,
  ].join('\n')
}
