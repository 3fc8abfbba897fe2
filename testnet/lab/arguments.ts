import { parseArgs } from 'node:util'
import { LabError } from '../laberror.ts'

import type { Scenario } from './scenario.ts'

/** The command line's request. */
export type LabRequest =
  | { kind: 'help' }
  | { kind: 'list' }
  | { kind: 'run'; scenarios: readonly Scenario[]; jsonPath?: string; logDirectory?: string }

export const USAGE = `Usage: npm run lab -- [SCENARIO...] [options]

Runs scenarios on hosts that are network namespaces of this machine, with real guests, one after the other.
Needs root and QEMU. Without a scenario: the list.

Options:
  --all           every scenario (half an hour on two cores)
  --json FILE     write what happened and how it was judged to FILE
  --keep-log DIR  keep the agents' logs and the guests' consoles, a folder a scenario
  --help          this text

Exit status: 0 all assertions hold, 1 not all, 2 wrong usage, 130 cancelled.`

/** Parses the command line's arguments. Throws LabError `lab-bad-usage`. Pure. */
export function parseRequest(words: readonly string[], known: readonly Scenario[]): LabRequest {
  const { values, positionals } = parse(words)
  if (values.help === true) return { kind: 'help' }
  if (values.all === true && positionals.length > 0) throw badUsage('Name scenarios, or ask for all.')
  if (values.all !== true && positionals.length === 0) return { kind: 'list' }
  const scenarios = values.all === true ? known : positionals.map((name) => {
    const found = known.find((scenario) => scenario.name === name)
    if (found !== undefined) return found
    const names = known.map((scenario) => scenario.name).join(', ')
    throw badUsage(`There is no scenario named ${name}; there are ${names}.`)
  })
  return {
    kind: 'run', scenarios,
    ...(values.json === undefined ? {} : { jsonPath: values.json }),
    ...(values['keep-log'] === undefined ? {} : { logDirectory: values['keep-log'] }),
  }
}

function parse(words: readonly string[]): {
  values: { all?: boolean; help?: boolean; json?: string; 'keep-log'?: string }
  positionals: string[]
} {
  try {
    return parseArgs({
      args: [...words], allowPositionals: true,
      options: {
        'all': { type: 'boolean' }, 'help': { type: 'boolean' }, 'json': { type: 'string' },
        'keep-log': { type: 'string' },
      },
    })
  } catch (error) {
    throw badUsage((error as Error).message)
  }
}

function badUsage(message: string): LabError {
  return new LabError('lab-bad-usage', message, { advice: 'Try `npm run lab -- --help`.' })
}
