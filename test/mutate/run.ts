import { globSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { testsFor, type KnownTest } from './coverage.ts'
import { describeFault, folderOf, type Fault } from './fault.ts'
import { testsOf } from './folders.ts'
import { explanationOf, type TriedFault } from './judge.ts'
import { ROOT } from './sources.ts'
import { EXPLAINED_SURVIVORS } from './survivors.ts'
import type { TrialRequest, TrialResult } from './trial.ts'
import { Workplace } from './workplace.ts'

/** Time limit of tests with a fault: this many times their time without, plus a constant. */
const SLOWER_MAX = 5
const LIMIT_MIN_MS = 4_000
/** Time limit of a test file on the code without faults, ms. */
const FILE_LIMIT_MS = 180_000

export interface RunInit {
  faults: readonly Fault[]
  seed: number
  workers: number
  signal: AbortSignal
  say: (line: string) => void
}

/** Tries every fault, several in parallel, each in its own copy of the tree. */
export async function tryFaults({ faults, seed, workers, signal, say }: RunInit): Promise<TriedFault[]> {
  const directory = mkdtempSync(join(tmpdir(), 'pagemesh-mutate-'))
  try {
    const places = Array.from({ length: workers }, (_, index) => new Workplace(join(directory, String(index)), signal))
    const known = await learnTests(places, { faults, seed, say })
    const kept = new Set(faults.flatMap(({ noticedBy }) => noticedBy ?? []))
    // A test that fails without a fault notices none.
    await shareOut(places, [...kept], async (place, file) => {
      await runWithoutFault(place, { files: [file], seed, coverage: false })
    })
    const tried: TriedFault[] = []
    await shareOut(places, faults, async (place, fault) => {
      const outcome = await tryFault(place, fault, known.get(folderOf(fault)) ?? [], seed)
      tried.push(outcome)
      if (outcome.fate === 'survived' && outcome.why === undefined) {
        say(`survived: ${describeFault(fault)}`)
      }
      if (tried.length % 50 === 0) say(`${tried.length} of ${faults.length} faults tried`)
    })
    return tried.sort((a, b) => faults.indexOf(a.fault) - faults.indexOf(b.fault))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Runs the tests once on the code without faults: the time of each, and the code that it runs. */
async function learnTests(
  places: readonly Workplace[], { faults, seed, say }: Pick<RunInit, 'faults' | 'seed' | 'say'>,
): Promise<Map<string, KnownTest[]>> {
  const folders = [...new Set(faults.filter(({ noticedBy }) => noticedBy === undefined).map(folderOf))]
  const filesOf = new Map(folders.map((folder) => [folder, globSync(testsOf(folder), { cwd: ROOT }).sort()]))
  const files = [...new Set([...filesOf.values()].flat())]
  say(`${faults.length} faults; ${files.length} files of tests run once on the code as it is`)
  const testsIn = new Map<string, KnownTest[]>()
  await shareOut(places, files, async (place, file) => {
    testsIn.set(file, await learnFile(place, file, seed))
  })
  return new Map(folders.map((folder) => [folder, filesOf.get(folder)!.flatMap((file) => testsIn.get(file)!)]))
}

/** Two runs: with coverage the code is slower, and its times would mean nothing. */
async function learnFile(place: Workplace, file: string, seed: number): Promise<KnownTest[]> {
  const counted = await runWithoutFault(place, { files: [file], seed, coverage: true })
  const begunAt = performance.now()
  const timed = await runWithoutFault(place, { files: [file], seed, coverage: false })
  const startMs = performance.now() - begunAt - timed.tests.reduce((sum, test) => sum + test.durationMs, 0)
  const durations = new Map(timed.tests.map(({ title, durationMs }) => [title, durationMs]))
  const { outside } = counted
  return counted.tests.map((test) => ({ ...test, durationMs: durations.get(test.title) ?? 0, file, startMs, outside }))
}

/** Twice if needed: on a busy machine a test that waits for something may fail. */
async function runWithoutFault(place: Workplace, request: TrialRequest): Promise<TrialResult> {
  let result = await place.runTests(request, FILE_LIMIT_MS)
  if (result === 'timed-out' || result.failure !== undefined) result = await place.runTests(request, FILE_LIMIT_MS)
  const [file] = request.files
  if (result === 'timed-out') throw new Error(`${file} takes too long without any fault`)
  if (result.failure !== undefined) throw new Error(`${file} fails without any fault: ${result.failure}`)
  return result
}

async function tryFault(
  place: Workplace, fault: Fault, known: readonly KnownTest[], seed: number,
): Promise<TriedFault> {
  const { request, limitMs } = fault.noticedBy === undefined
    ? requestFor(testsFor(fault, known), seed)
    : { request: { files: [fault.noticedBy], seed, coverage: false }, limitMs: FILE_LIMIT_MS }
  const result = request.files.length === 0 ? undefined : await place.tryFault(fault, request, limitMs)
  if (result === 'timed-out') return { fault, fate: 'timed-out' }
  if (result?.failure !== undefined) return { fault, fate: 'killed', failure: result.failure }
  const why = explanationOf(fault, EXPLAINED_SURVIVORS)
  return { fault, fate: 'survived', ...(why === undefined ? {} : { why }) }
}

function requestFor(tests: readonly KnownTest[], seed: number): { request: TrialRequest; limitMs: number } {
  const files = [...new Set(tests.map(({ file }) => file))]
  const startMs = Math.max(0, ...tests.map((test) => test.startMs))
  const durationMs = tests.reduce((sum, test) => sum + test.durationMs, 0)
  return {
    request: { files, titles: tests.map(({ title }) => title), seed, coverage: false },
    limitMs: LIMIT_MIN_MS + SLOWER_MAX * (startMs + durationMs),
  }
}

/** Gives each item to a free place; the first error ends all. */
async function shareOut<T>(
  places: readonly Workplace[], items: readonly T[], work: (place: Workplace, item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  await Promise.all(places.map(async (place) => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(place, item)
  }))
}
