/**
 * How much the census slows a guest down: a real guest under TCG counts, with the census working and pausing in turn.
 * While it works it scans without a pause, at the default rate; with the default interval it rests most of the time.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createCensus, type Census } from '../../src/census/index.ts'
import { discoverGuests } from '../../src/guest/index.ts'
import { OPTIONS } from '../../src/index.ts'
import { systemClock } from '../../src/runtime/clock.ts'
import { silentLog } from '../../src/runtime/log.ts'
import { waitFor } from '../../testnet/index.ts'
import { startCountingGuest, type CountingGuest } from '../interop/countingguest.ts'
import { madeScopes } from '../support/madescopes.ts'
import { spreadOf, type Spread } from './measure.ts'

export interface DisturbanceInit {
  rounds: number
  /** How long the guest is watched with the census on, and off, in each round, ms. */
  watchMs: number
}

export interface DisturbanceOutcome extends DisturbanceInit {
  /** Work of the guest with the census on, relative to that with it off in the same round. */
  ratio: Spread
  /** The same relative to its own CPU time, on which other load of the machine has little effect. */
  cpuRatio: Spread
  /** Pages a second that the census read while it was on. */
  pagesPerSecond: number
  residentPages: number
}

/** The unit of /proc. */
const TICKS_PER_SECOND = 100
const MEMORY_MIB = 512
const FILLED_MIB = 256
/** From a switch of the census until the watch begins, ms: it may have to finish a batch. */
const SETTLE_MS = 200
const URGENT_SCANS = 2
const FIRST_SCANS_MS = 60_000
/** Pieces of work. */
interface Work {
  perSecond: number
  perCpuSecond: number
}

const NONE: Work = { perSecond: 0, perCpuSecond: 0 }

/** How often the guest's beats are polled, ms: about as often as they come. */
const LOOK_MS = 2

export async function runDisturbance(init: DisturbanceInit): Promise<DisturbanceOutcome> {
  const directory = mkdtempSync(join(tmpdir(), 'pm-disturbance-'))
  const components = { clock: systemClock, log: silentLog }
  const qemu = await startCountingGuest({
    name: 'g', directory, memoryMiB: MEMORY_MIB, filledMiB: FILLED_MIB, backend: 'anonymous',
  })
  const discovery = discoverGuests(components, { globs: [`${directory}/*.qmp`] })
  const census = createCensus({ ...components, scopes: madeScopes() }, {
    pagesPerSecond: defaultPagesPerSecond(), intervalMs: 1, bytesMax: 2 ** 30,
  })
  try {
    await discovery.start()
    await census.start()
    census.add(discovery.guests()[0]!)
    // The first scans run faster; a guest lives with the later ones.
    await waitFor(() => ((census.of('g')?.scans ?? 0) >= URGENT_SCANS ? true : undefined), {
      clock: systemClock, what: 'the first scans', timeoutMs: FIRST_SCANS_MS,
    })
    return await measure(qemu, census, init)
  } finally {
    await census.stop()
    await discovery.stop()
    await qemu.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measure(qemu: CountingGuest, census: Census, init: DisturbanceInit): Promise<DisturbanceOutcome> {
  const ratios: number[] = []
  const cpuRatios: number[] = []
  const { scans } = census.totals
  let onMs = 0
  for (let round = 0; round < init.rounds; round++) {
    const work = { on: NONE, off: NONE }
    // The first side alternates, so that a machine that slows down favours neither.
    for (const side of round % 2 === 0 ? ['off', 'on'] as const : ['on', 'off'] as const) {
      const goOn = side === 'off' ? census.standBack() : undefined
      const begunAt = performance.now()
      await systemClock.sleep(SETTLE_MS)
      work[side] = await workOf(qemu, init.watchMs)
      if (side === 'on') onMs += performance.now() - begunAt
      goOn?.()
    }
    ratios.push(work.on.perSecond / work.off.perSecond)
    cpuRatios.push(work.on.perCpuSecond / work.off.perCpuSecond)
  }
  const { residentPages } = census.of('g')!
  return {
    ...init, ratio: spreadOf(ratios), cpuRatio: spreadOf(cpuRatios), residentPages,
    pagesPerSecond: ((census.totals.scans - scans) * residentPages) / (onMs / 1000),
  }
}

/** From beat to beat, so that no partial piece of work is counted or lost. */
async function workOf(qemu: CountingGuest, watchMs: number): Promise<Work> {
  const first = await nextBeat(qemu)
  await systemClock.sleep(watchMs)
  const last = await nextBeat(qemu)
  const beats = last.beat - first.beat
  const seconds = (last.at - first.at) / 1000
  return { perSecond: beats / seconds, perCpuSecond: beats / (last.cpuSeconds - first.cpuSeconds) }
}

async function nextBeat(qemu: CountingGuest): Promise<{ beat: number; at: number; cpuSeconds: number }> {
  const before = qemu.beats()
  for (;;) {
    const beat = qemu.beats()
    if (beat !== before) return { beat, at: performance.now(), cpuSeconds: cpuSecondsOf(qemu.pid) }
    await systemClock.sleep(LOOK_MS)
  }
}

/** User and system time of a process so far. */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

function defaultPagesPerSecond(): number {
  return Number(OPTIONS.find(({ key }) => key === 'census.pagesPerSecond')!.default)
}

export function formatDisturbance({ ratio, cpuRatio, rounds, watchMs, ...outcome }: DisturbanceOutcome): string {
  const slowDown = (share: number): string => `${((1 - share) * 100).toFixed(1)} %`
  return [
    `A guest under TCG that counts, with the census on and off in turn, ${rounds} rounds of twice ${watchMs / 1000} s:`,
    `  slow-down        ${slowDown(ratio.median)}  (${slowDown(ratio.max)} to ${slowDown(ratio.min)}) while it is ` +
      `scanned without a pause, ${(outcome.pagesPerSecond / 1000).toFixed(0)} thousand pages a second of ` +
      `${(outcome.residentPages / 1000).toFixed(0)} thousand`,
    `  of its own CPU   ${slowDown(cpuRatio.median)}  (${slowDown(cpuRatio.max)} to ${slowDown(cpuRatio.min)})`,
  ].join('\n')
}
