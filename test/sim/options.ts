import { Command, InvalidArgumentError } from 'commander'

/** The command line's flags. */
export interface SimFlags {
  hosts: number
  guests: number
  pages: number
  seed: number
  maxPages: number
  minHosts: number
  interval: number
  intervals?: number
  scenario: 'faults' | 'day'
  json?: true
}

const SCENARIOS = ['faults', 'day']

/** The command `npm run sim --`; throws CommanderError on wrong usage and after `--help`. */
export function parseFlags(argv: readonly string[]): SimFlags {
  const command = new Command('npm run sim --')
    .description('The real popularity code on virtual time: simulated hosts, synthetic guests, faults out of a seed.')
    .option('--hosts <n>', 'hosts at the start', whole(1, 5_000), 50)
    .option('--guests <n>', 'guests of each host', whole(0, 1_000), 20)
    .option('--pages <n>', 'non-zero pages of each guest', whole(1, 1_000_000), 500)
    .option('--seed <n>', 'of all random numbers', whole(0, 2 ** 32 - 1), 1)
    .option('--max-pages <n>', 'pages of a view, as popularity.maxPages', whole(1, 2 ** 30), 2_000_000)
    .option('--min-hosts <n>', 'as popularity.minHosts', whole(1, 1_000), 2)
    .option('--interval <s>', 'seconds, as census.intervalSeconds', whole(10, 86_400), 60)
    .option('--scenario <name>', SCENARIOS.join(' or '), scenario, 'faults')
    .option('--intervals <n>', 'length of the day (default 1440)', whole(40, 1_000_000))
    .option('--json', 'one JSON object on standard output, nothing else there')
    .allowExcessArguments(false)
    .exitOverride()
    .addHelpText('after', '\nExit status: 0 converged, and no table grew; 1 not; 2 wrong usage.')
  return command.parse(argv, { from: 'user' }).opts<SimFlags>()
}

/** Reads a whole number within bounds. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`)
  }
}

function scenario(text: string): string {
  if (SCENARIOS.includes(text)) return text
  throw new InvalidArgumentError(`Expected ${SCENARIOS.join(' or ')}.`)
}
