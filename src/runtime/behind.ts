import { describeError } from './errors.ts'
import type { Log } from './log.ts'

/** Lets work run in the background; a failure is logged as `what`. */
export function behind(log: Log, what: string, work: Promise<unknown>): void {
  work.catch((error: unknown) => log.warn(what, { error: describeError(error) }))
}
