import type { Clock } from './clock.ts'
import { PagemeshError, type Fault } from './errors.ts'

/** Waits for `work`, but no longer than `limitMs`; then throws PagemeshError `timeout` that names the phase. */
export async function withTimeout<T>(
  clock: Clock,
  work: Promise<T>,
  limitMs: number,
  about: { phase: string; message: string; fault: Fault; advice?: string },
): Promise<T> {
  let cancel = (): void => undefined
  const late = new Promise<never>((_resolve, reject) => {
    const timer = clock.after(limitMs, () => {
      reject(new PagemeshError('timeout', about.message, { ...about, data: { limitMs } }))
    })
    cancel = () => timer.cancel()
  })
  try {
    return await Promise.race([work, late])
  } finally {
    cancel()
  }
}

/** A promise that is settled from outside. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
}

/** A rejection that nobody waits for yet is no error of the process. */
export function deferred<T>(): Deferred<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
