import { describeError } from './errors.ts'
import type { Log } from './log.ts'

/** Lets work go on by itself; that it failed is logged as `what`. */
export function behind(log: Log, what: string, work: Promise<unknown>): void {
  work.catch((error: unknown) => log.warn(what, { error: describeError(error) }))
}
