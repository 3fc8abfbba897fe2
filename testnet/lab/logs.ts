import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import type { RunOutcome } from './runner.ts'

const LINES_SHOWN = 12
const LINE_CHARACTERS_MAX = 400

/** Writes the end of every agent's log, the guests' console output, and the record to a folder per run. */
export function keepLogs(directory: string, outcome: RunOutcome, labDirectory: string): void {
  const folder = join(directory, outcome.scenario)
  mkdirSync(folder, { recursive: true })
  const { logs, ...rest } = outcome
  writeFileSync(join(folder, 'record.json'), `${JSON.stringify(rest, undefined, 2)}\n`)
  for (const [index, { host, log }] of logs.entries()) {
    // A restarted agent has a log of its own.
    writeFileSync(join(folder, `agent-${index + 1}-${host}.log`), `${log}\n`)
    const guests = join(labDirectory, host, 'guests')
    if (!existsSync(guests)) continue
    cpSync(guests, join(folder, `guests-${host}`), {
      recursive: true, filter: (path) => path === guests || path.endsWith('.serial.log'),
    })
  }
}

/** The last lines of all agents' logs, for a run that did not pass. Pure. */
export function lastLines(logs: RunOutcome['logs']): string {
  return logs.map(({ host, log }) => {
    const lines = log.split('\n').slice(-LINES_SHOWN).map((line) => `  ${line.slice(0, LINE_CHARACTERS_MAX)}`)
    return `agent of ${host}:\n${lines.join('\n')}`
  }).join('\n')
}
