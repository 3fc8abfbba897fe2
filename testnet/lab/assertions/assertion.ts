import type { RunRecord } from '../record.ts'

/** A statement that must hold of a run, judged from the record alone. */
export interface Assertion {
  /** For the report: the statement. */
  readonly name: string
  /** The faults found, a phrase each; none: it holds. Pure. */
  check(record: RunRecord): string[]
}
