/**
 * Real guests move among three real agents in the lab, while faults strike at moments out of a seed: agents and QEMUs
 * are killed, stopped and restarted, hosts cut off, links slow, bytes on the way and in the stores changed, disks full,
 * moves cancelled. After each round no guest may be lost or run twice, memory is as it was, and nothing is left.
 *
 *   npm run faults -- [--faults N] [--seed S] [--minutes M] [--only KIND,KIND] [--json]
 *
 * Standard error has the seed first, then a line a round. Exit status: 0 nothing was wrong, 1 something was, 2 wrong
 * usage. The lab is removed however it ends.
 */
import { randomInt } from 'node:crypto'

import { Command, InvalidArgumentError } from 'commander'

import { missingForLab } from '../../testnet/index.ts'
import { deleteOrphanedDirectories } from '../../testnet/lab/leftovers.ts'
import { whole } from '../sim/options.ts'
import { runWith, type Say } from '../support/commandline.ts'
import { FaultLab } from './lab.ts'
import { kinds, type StrikeKind } from './plan.ts'
import { isGood, summaryOf } from './report.ts'
import { runFaults } from './run.ts'

interface Flags {
  faults: number
  seed: number
  minutes?: number
  only?: StrikeKind[]
  json?: true
}

const EXIT = { done: 0, failed: 1 } as const

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2)), main)

async function main({ faults, seed, minutes, only, json }: Flags, say: Say): Promise<number> {
  process.stderr.write(`seed ${seed}\n`)
  const missing = await missingForLab()
  if (missing !== undefined) {
    process.stderr.write(`The lab needs ${missing}.\n`)
    return EXIT.failed
  }
  deleteOrphanedDirectories()
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort())
  const startedAt = performance.now()
  const lab = await FaultLab.create(['idle', 'random'])
  try {
    say('the lab stands')
    const report = await runFaults(lab, {
      seed, faults, untilMs: minutes === undefined ? Infinity : startedAt + minutes * 60_000, say,
      signal: abort.signal, ...only === undefined ? {} : { only },
    })
    process.stdout.write(`${json === true ? JSON.stringify(report) : summaryOf(report)}\n`)
    return isGood(report) ? EXIT.done : EXIT.failed
  } finally {
    await lab.close()
  }
}

function parseFlags(argv: readonly string[]): Flags {
  return new Command('npm run faults --')
    .description('Moves real guests among three agents while faults out of a seed strike. Needs root and QEMU; a ' +
      'fault takes some five seconds on two cores.')
    .option('--faults <n>', 'how many strike', whole(1, 1_000_000), 1000)
    .option('--seed <n>', 'of all random numbers', whole(0, 2 ** 32 - 1), randomInt(2 ** 31))
    .option('--minutes <n>', 'ends with the round in which they are over', whole(1, 100_000))
    .option('--only <kinds>', `some kinds alone, of ${kinds().join(', ')}`, kindsOf)
    .option('--json', 'one JSON object on standard output, nothing else there')
    .allowExcessArguments(false)
    .exitOverride()
    .parse(argv, { from: 'user' }).opts<Flags>()
}

function kindsOf(text: string): StrikeKind[] {
  const words = text.split(',')
  const wrong = words.find((word) => !(kinds() as string[]).includes(word))
  if (wrong === undefined) return words as StrikeKind[]
  throw new InvalidArgumentError(`There is no fault ${wrong}.`)
}
