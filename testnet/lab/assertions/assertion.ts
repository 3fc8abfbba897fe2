import type { RunRecord } from '../record.ts'

/** Something that must hold of a run, judged by the record alone. */
export interface Assertion {
  /** For the report: what holds, if it does. */
  readonly name: string
  /** What is not so, a phrase each; none: it holds. Pure. */
  check(record: RunRecord): string[]
}
