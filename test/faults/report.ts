import type { FaultsReport } from './run.ts'

const WRONG = ['lost', 'doubled', 'wedged', 'unequal', 'leftBehind', 'wrongWords', 'settingsLeft'] as const

export function isGood(report: FaultsReport): boolean {
  return WRONG.every((kind) => report[kind] === 0)
}

/** For people. */
export function summaryOf(report: FaultsReport): string {
  const { seed, faults, rounds, strikes, ends, failures } = report
  return [
    `seed ${seed}: ${faults} faults in ${rounds} rounds: ${WRONG.map((kind) => `${kind} ${report[kind]}`).join(', ')}`,
    `strikes ${JSON.stringify(strikes)}, moves ${JSON.stringify(ends)}`,
    ...failures,
  ].join('\n')
}
