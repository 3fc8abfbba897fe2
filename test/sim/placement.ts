/**
 * The value of placement: the real policy in a simulated cluster, compared with other ways to choose the pages of a
 * host.
 *
 *   npm run -s sim:placement -- [--hosts N] [--guests M] [--pages P] [--seed S] [--intervals I] [--settings] [--json]
 *
 * A cluster is drawn, every host has an exact view, and guests migrate to other hosts: what share of a guest's pages is
 * there already? Then guests come, go, move and reboot: how much do hosts fetch to keep up? The same seed prints the
 * same. Standard error has the seed first, then progress.
 */
import { Command } from 'commander'

import { runWith, type Say } from '../support/commandline.ts'
import { whole } from './options.ts'
import { churn } from './placementchurn.ts'
import { formatChurn, formatTrial } from './placementreport.ts'
import { BELOW_OPTIMUM_MAX, tryPlacement } from './placementtrial.ts'

const EXIT = { done: 0, failed: 1 } as const

interface Flags {
  hosts: number
  guests: number
  pages: number
  seed: number
  intervals: number
  settings?: true
  json?: true
}

process.exitCode = await runWith(() => parseFlags(process.argv.slice(2)), main)

function main(flags: Flags, say: Say): number {
  const { hosts, guests, pages, seed, intervals } = flags
  say(`seed ${seed}: ${hosts} hosts, ${guests} guests each, ${pages} pages each`)
  const trial = tryPlacement({ hosts, guests, pages, seed }, flags.settings === true, say)
  const churns = intervals === 0 ? [] : churn({ hosts, guests, pages, seed }, intervals, say)
  const text = flags.json === true ? JSON.stringify({ ...trial, churn: churns })
    : `${formatTrial(trial)}\n\n${formatChurn(churns)}`.trimEnd()
  process.stdout.write(`${text}\n`)
  const isNear = trial.budgets.every(({ policy, optimum }) =>
    optimum.atDestination - policy.atDestination <= BELOW_OPTIMUM_MAX &&
    optimum.atPeer - policy.atPeer <= BELOW_OPTIMUM_MAX)
  return isNear ? EXIT.done : EXIT.failed
}

function parseFlags(argv: readonly string[]): Flags {
  const command = new Command('npm run -s sim:placement --')
    .description('The real placement policy in a simulated cluster, beside other ways to choose what hosts keep.')
    .option('--hosts <n>', 'hosts', whole(2, 1_000), 200)
    .option('--guests <n>', 'guests of each host', whole(1, 1_000), 20)
    .option('--pages <n>', 'non-zero pages of each guest', whole(1, 100_000), 500)
    .option('--seed <n>', 'of all random numbers', whole(0, 2 ** 32 - 1), 1)
    .option('--intervals <n>', 'intervals of churn; 0: none', whole(0, 100_000), 50)
    .option('--settings', 'also with other shares of the head, and other numbers of copies of the tail')
    .option('--json', 'one JSON object on standard output, nothing else there')
    .allowExcessArguments(false)
    .exitOverride()
    .addHelpText('after', '\nExit status: 0 within 5 points of the optimum at every budget; 1 not; 2 wrong usage.')
  return command.parse(argv, { from: 'user' }).opts<Flags>()
}
