import { Command, InvalidArgumentError } from 'commander'

import { whole } from '../sim/options.ts'
import { listFolders } from './sources.ts'

/** The command line's flags. */
export interface MutateFlags {
  /** Folders of src; if empty, the judged ones. */
  folder: string[]
  file?: string
  list?: true
  json?: true
  sample?: number
  seed: number
  workers: number
  byHand?: true
  again?: string
}

/** The command `npm run mutate --`; throws CommanderError on wrong usage and after `--help`. */
export function parseFlags(argv: readonly string[], workers: number): MutateFlags {
  const command = new Command('npm run mutate --')
    .description('Puts one-line faults into copies of the source, one at a time, and looks whether a fast test fails.')
    .option('--folder <name>', 'a folder of src; may be repeated', folder, [])
    .option('--file <text>', 'only faults in files whose path contains this')
    .option('--by-hand', 'only the faults of the kept list, in all folders')
    .option('--again <file>', 'only survivors of a run whose --json is in this file')
    .option('--sample <n>', 'only this many faults, drawn by the seed', whole(1, 1_000_000))
    .option('--seed <n>', 'of all random numbers, in the tests too', whole(0, 2 ** 31 - 1), 1)
    .option('--workers <n>', 'faults tried in parallel', whole(1, 256), workers)
    .option('--list', 'names the faults, and tries none')
    .option('--json', 'one JSON object on standard output, nothing else there')
    .allowExcessArguments(false)
    .exitOverride()
    .addHelpText('after', '\nExit status: 0 enough were noticed, all survivors are explained; 1 not; 2 wrong usage.')
  return command.parse(argv, { from: 'user' }).opts<MutateFlags>()
}

function folder(name: string, before: string[]): string[] {
  const folders = listFolders()
  if (folders.includes(name)) return [...before, name]
  throw new InvalidArgumentError(`Expected one of ${folders.join(', ')}.`)
}
