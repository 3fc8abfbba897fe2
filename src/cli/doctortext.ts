import type { Finding } from '../daemon/doctor/index.ts'
import { alignColumns } from './table.ts'

/** What was found, a line a check and below it what to do, and in the end how much is wrong. Pure. */
export function renderFindings(findings: readonly Finding[]): string {
  const rows = findings.flatMap(({ check, about, verdict, found, advice }) => [
    [verdict, about === null ? check : `${check} ${about}`, found],
    ...(advice === null ? [] : [['', '', `-> ${advice}`]]),
  ])
  const count = (verdict: Finding['verdict']): number => findings.filter((one) => one.verdict === verdict).length
  const warnings = count('warning')
  const said = `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`
  return `${alignColumns(rows)}\n\n${count('broken')} broken, ${said}, ${count('ok')} ok`
}
