/**
 * A month of three agents in an hour: handoffs of a tiny guest on real QEMU, hosts that join and leave, strangers who
 * never prove the key. After each of thirty days everything is at rest and measured: heap after collection,
 * descriptors, sockets, timers, threads; and how late the event loop was by day.
 *
 *   npm run month -- [--handoffs N] [--joins N] [--strangers N] [--days N] [--seed S]
 *     [--guests real|played] [--plot FILE] [--json]
 *
 * Standard error has the seed first, then a line a day. Exit status: 0 nothing rises, 1 something does or failed, 2
 * wrong usage. The lab is removed however it ends.
 */
import { randomInt } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { Command, Option } from 'commander'

import { missingForLab } from '../../testnet/index.ts'
import { deleteOrphanedDirectories } from '../../testnet/lab/leftovers.ts'
import { REPOSITORY } from '../../testnet/machine/image.ts'
import { whole } from '../sim/options.ts'
import { runWith, type Say } from '../support/commandline.ts'
import { MonthLab } from './lab.ts'
import { drawMonth } from './plot.ts'
import { summaryOf } from './report.ts'
import { runMonth } from './run.ts'

interface Flags {
  handoffs: number
  joins: number
  strangers: number
  days: number
  seed: number
  guests: 'real' | 'played'
  plot: string
  json?: true
}

const EXIT = { done: 0, failed: 1 } as const

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2)), main)

async function main({ plot, json, ...wanted }: Flags, say: Say): Promise<number> {
  process.stderr.write(`seed ${wanted.seed}\n`)
  const missing = wanted.guests === 'played' ? undefined : await missingForLab()
  if (missing !== undefined) {
    process.stderr.write(`The lab needs ${missing}.\n`)
    return EXIT.failed
  }
  deleteOrphanedDirectories()
  const abort = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort())
  const lab = await MonthLab.create(wanted)
  try {
    const report = await runMonth(lab, { ...wanted, say, signal: abort.signal })
    mkdirSync(dirname(plot), { recursive: true })
    const title = `${report.handoffs} handoffs (${report.guests}), ${report.joins} joins, seed ${report.seed}`
    writeFileSync(plot, drawMonth(report.days, title))
    process.stdout.write(`${json === true ? JSON.stringify(report) : summaryOf(report, plot)}\n`)
    return report.failures.length === 0 ? EXIT.done : EXIT.failed
  } catch (error) {
    process.stderr.write(`${lab.hosts.logs()}\n`)
    throw error
  } finally {
    await lab.close()
  }
}

function parseFlags(argv: readonly string[]): Flags {
  return new Command('npm run month --')
    .description('Three agents for a month in an hour, and whether anything of them grows. Needs root and QEMU.')
    .option('--handoffs <n>', 'handoffs of a tiny guest', whole(0, 1_000_000), 2000)
    .option('--joins <n>', 'hosts that join and leave', whole(0, 1_000_000), 1000)
    .option('--strangers <n>', 'connections that never prove the key', whole(0, 10_000_000), 10_000)
    .option('--days <n>', 'that they are spread over', whole(2, 10_000), 30)
    .option('--seed <n>', 'of the strangers', whole(0, 2 ** 32 - 1), randomInt(2 ** 31))
    .addOption(new Option('--guests <kind>', 'tiny ones on real QEMU, or played ones, without root and QEMU')
      .choices(['real', 'played']).default('real'))
    .option('--plot <file>', 'SVG of every figure by day', join(REPOSITORY, '.cache', 'month', 'month.svg'))
    .option('--json', 'one JSON object on standard output, nothing else there')
    .allowExcessArguments(false)
    .exitOverride()
    .parse(argv, { from: 'user' }).opts<Flags>()
}
