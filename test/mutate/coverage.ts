import type { Fault } from './fault.ts'
import type { CodeRun } from './trial.ts'

/** A test's run on the code without faults. */
export interface KnownTest {
  /** Its file. */
  file: string
  title: string
  durationMs: number
  /** Time of its file outside of its tests: starting a process, and loading everything. */
  startMs: number
  /** The code that it ran itself, and that its file ran outside of tests. */
  ran: readonly CodeRun[]
  outside: readonly CodeRun[]
}

/** The tests that could notice a fault: those that run its code, the fastest first. */
export function testsFor(fault: Fault, tests: readonly KnownTest[]): KnownTest[] {
  return tests.filter(({ ran, outside }) => isRun(fault, ran) || isRun(fault, outside))
    .sort((a, b) => a.durationMs - b.durationMs)
}

/**
 * Whether the narrowest stretch around the fault ran. The right side of `&&` or `||` is a stretch that begins with the
 * operator, and runs only where the left side does not decide; the operator itself matters wherever the left side runs.
 */
function isRun({ file, start, kind }: Fault, stretches: readonly CodeRun[]): boolean {
  const place = kind === 'operator' ? start - 1 : start
  let narrowest: CodeRun | undefined
  for (const stretch of stretches) {
    if (stretch.file !== file || stretch.start > place || stretch.end <= place) continue
    const width = stretch.end - stretch.start
    const best = narrowest === undefined ? Infinity : narrowest.end - narrowest.start
    // Of equal stretches, which come from different measurements, one that ran decides.
    if (width < best || (width === best && stretch.isRun)) narrowest = stretch
  }
  return narrowest?.isRun === true
}
