import { formatBytes } from '../../src/index.ts'
import type { DayOutcome } from './day.ts'
import { CONVERGE_WITHIN, describePhase, type FaultsOutcome } from './faults.ts'
import { ACCOUNTS } from './host.ts'

const ACCOUNT_NAMES = {
  reportSent: 'reports sent', reportReceived: 'reports received',
  gossipSent: 'gossip sent', gossipReceived: 'gossip received',
}

/** The report for people. Pure. */
export function formatFaults(outcome: FaultsOutcome): string {
  const { bytes, lateHostSeconds, quiet } = outcome
  return [
    ...outcome.phases.map(describePhase),
    lateHostSeconds === null ? 'late hosts: one had no whole view in time'
      : `late hosts: whole view after ${seconds(lateHostSeconds.mean)} on average, ` +
        `${seconds(lateHostSeconds.worst)} at most`,
    `worst live host from ${CONVERGE_WITHIN} intervals after the last fault on: ` +
      `recall ${outcome.recall.toFixed(4)}, precision ${outcome.precision.toFixed(4)}, of ${quiet.popularPages} pages`,
    '',
    `bytes a host and interval   quiet: ${'mean'.padStart(9)} ${'most'.padStart(10)}` +
      `   whole run: ${'mean'.padStart(9)} ${'most'.padStart(10)}`,
    ...ACCOUNTS.map((account) => `  ${ACCOUNT_NAMES[account].padEnd(25)}        ` +
      `${formatBytes(bytes.quiet.mean[account]).padStart(9)} ${formatBytes(bytes.quiet.max[account]).padStart(10)}` +
      `              ${formatBytes(bytes.wholeRun.mean[account]).padStart(9)} ` +
      formatBytes(bytes.wholeRun.max[account]).padStart(10)),
    '',
    `tables of all hosts: ${describeCounts(outcome.sizes)}`,
    `refused: ${describeCounts(outcome.refusals)}`,
    `${outcome.streams} streams, ${outcome.gossipDeliveries} gossiped messages received`,
  ].join('\n')
}

export function formatDay(outcome: DayOutcome): string {
  return [
    `${outcome.intervals} intervals of churn: ${describeCounts(outcome.events)}`,
    `mean over hosts and intervals: recall ${outcome.recall.toFixed(4)}, precision ${outcome.precision.toFixed(4)}`,
    ...Object.entries(outcome.tables).map(([name, { firstQuarter, lastQuarter, growth }]) =>
      `  ${name.padEnd(16)} ${firstQuarter.toFixed(0).padStart(12)} in the first quarter, ` +
      `${lastQuarter.toFixed(0).padStart(12)} in the last: ${growth.toFixed(3)}x`),
    `refused: ${describeCounts(outcome.refusals)}`,
    outcome.grew.length === 0 ? 'no table grew' : `grew: ${outcome.grew.join(', ')}`,
  ].join('\n')
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  return parts.length === 0 ? 'nothing' : parts.join(', ')
}

function seconds(value: number): string {
  return `${value.toFixed(0)} s`
}
