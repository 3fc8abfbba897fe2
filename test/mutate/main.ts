/**
 * Whether the tests can fail: one-line faults are put into copies of the source, and the folder's fast tests run.
 *
 *   npm run mutate -- [--folder NAME]... [--file TEXT] [--by-hand] [--again FILE] [--sample N] [--seed S] [--list]
 *     [--json]
 *
 * Most faults come from the syntax tree (operators.ts), some are kept by hand (faults.ts). For each, the tests that run
 * its code are run, the fastest first, until one fails. Survivors must be explained in survivors.ts. Progress goes to
 * standard error. Exit status: 0 enough were killed and every survivor is explained, 1 not, 2 wrong usage, 130
 * cancelled.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

import { Chance } from '../support/chance.ts'
import { runWith, type Say } from '../support/commandline.ts'
import { describeFault, folderOf, type Fault } from './fault.ts'
import { HAND_MADE_FAULTS } from './faults.ts'
import { parseFlags, type MutateFlags } from './flags.ts'
import { JUDGED_FOLDERS } from './folders.ts'
import { formatVerdict, judge, type Verdict } from './judge.ts'
import { tryFaults } from './run.ts'
import { generateFaults, listFolders, placeFault } from './sources.ts'

const EXIT = { done: 0, failed: 1, cancelled: 130 } as const

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2), availableParallelism()), main)

async function main(flags: MutateFlags, say: Say): Promise<number> {
  const faults = chooseFaults(flags)
  if (flags.list === true) {
    const lines = faults.map(describeFault)
    process.stdout.write(flags.json === true ? `${JSON.stringify(faults)}\n` : `${lines.join('\n')}\n`)
    return EXIT.done
  }
  const cancelled = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => cancelled.abort(new Error('cancelled')))
  try {
    const tried = await tryFaults({ faults, seed: flags.seed, workers: flags.workers, signal: cancelled.signal, say })
    const { file, sample, byHand, again } = flags
    const isWhole = [file, sample, byHand, again].every((choice) => choice === undefined)
    const verdict = judge(tried, isWhole ? JUDGED_FOLDERS : [])
    process.stdout.write(`${flags.json === true ? JSON.stringify(verdict) : formatVerdict(verdict)}\n`)
    return verdict.complaints.length === 0 ? EXIT.done : EXIT.failed
  } catch (error) {
    if (cancelled.signal.aborted) return EXIT.cancelled
    throw error
  }
}

/** The given folders, or all judged ones; hand-made faults belong to their folder. */
function chooseFaults({ folder, file, sample, seed, byHand, again }: MutateFlags): Fault[] {
  const there = listFolders()
  const folders = folder.length > 0 ? folder : JUDGED_FOLDERS.filter((name) => there.includes(name))
  const kept = HAND_MADE_FAULTS.map(placeFault)
    .filter((fault) => folder.length === 0 || folder.includes(folderOf(fault)))
  const survivors = again === undefined ? undefined : readSurvivors(again)
  const all = [...kept, ...(byHand === true ? [] : generateFaults(folders))]
    .filter((fault) => file === undefined || fault.file.includes(file))
    .filter((fault) => survivors?.has(nameOf(fault)) !== false)
  if (sample === undefined || sample >= all.length) return all
  return draw(all, sample, new Chance(seed))
}

/** The survivors of an earlier run, by name. */
function readSurvivors(path: string): Set<string> {
  const { survivors } = JSON.parse(readFileSync(path, 'utf8')) as Verdict
  return new Set(survivors.map(({ fault }) => nameOf(fault)))
}

/** A fault's name is independent of other lines of its file. */
function nameOf({ file, kind, before, after }: Fault): string {
  return [file, kind, before, after].join('\n')
}

/** This many of the items, in their order. */
function draw<T>(items: readonly T[], count: number, chance: Chance): T[] {
  const indices = items.map((_, index) => index)
  for (let place = 0; place < count; place++) {
    const other = place + chance.below(indices.length - place)
    const drawn = indices[other]!
    indices[other] = indices[place]!
    indices[place] = drawn
  }
  return indices.slice(0, count).sort((a, b) => a - b).map((index) => items[index]!)
}
