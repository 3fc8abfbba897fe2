import Table from 'cli-table3'

import { formatBytes } from '../../src/index.ts'
import type { MoveRecord } from './record.ts'
import type { RunOutcome } from './runner.ts'
import type { Scenario } from './scenario.ts'

// No colours: the tables also go into files.
const STYLE = { head: [], border: [] }
const NO_LINES_BETWEEN = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' }

/** One run: its migrations, then each assertion. Pure. */
export function renderRun({ record, verdicts, error }: RunOutcome): string {
  const moves = newTable(['guest', 'way', 'mode', 'ended', 'time', 'QEMU wrote', 'on the wire', 'of it', 'memory'])
  for (const move of record.moves) moves.push(cellsOf(move))
  const assertions = newTable(['holds', 'assertion'])
  for (const { assertion, faults } of verdicts) {
    const words = [assertion, ...faults.map((fault) => `  ${fault}`)].join('\n')
    assertions.push([faults.length === 0 ? 'yes' : 'NO', words])
  }
  return [
    ...(record.moves.length > 0 ? [moves.toString()] : []),
    ...(verdicts.length > 0 ? [assertions.toString()] : []),
    ...(error === undefined ? [] : [`The run broke off: ${error}`]),
  ].join('\n')
}

/** All runs, a line each. Pure. */
export function renderSummary(outcomes: readonly RunOutcome[]): string {
  const table = newTable(['scenario', 'result', 'time', 'migrations', 'what was wrong'])
  for (const { scenario, passed, record, verdicts, error } of outcomes) {
    const wrong = verdicts.filter(({ faults }) => faults.length > 0).map(({ assertion }) => `not so: ${assertion}`)
    table.push([
      scenario, passed ? 'passed' : 'FAILED', seconds(record.durationMs), String(record.moves.length),
      [...(error === undefined ? [] : [error]), ...wrong].join('\n'),
    ])
  }
  return table.toString()
}

/** The list of scenarios, printed if none is named. Pure. */
export function renderList(scenarios: readonly Scenario[]): string {
  const width = Math.max(...scenarios.map(({ name }) => name.length))
  return scenarios.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`).join('\n')
}

function newTable(head: string[]): Table.Table {
  return new Table({ head, style: STYLE, chars: NO_LINES_BETWEEN })
}

function cellsOf({ guest, from, to, mode, exitStatus, result, comparison }: MoveRecord): string[] {
  const { status, qemuBytes = 0, wireBytes = 0, receivedWireBytes = 0, totalMs = 0 } = result ?? {}
  const wire = wireBytes + receivedWireBytes
  return [
    guest, `${from}->${to}`, mode === 'precopy' ? 'pre-copy' : 'post-copy', status ?? `status ${exitStatus}`,
    seconds(totalMs), formatBytes(qemuBytes), formatBytes(wire), qemuBytes === 0 ? '' : (wire / qemuBytes).toFixed(3),
    comparison === undefined ? '' : comparison.differences.length === 0 ? 'equal' : 'DIFFERS',
  ]
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
