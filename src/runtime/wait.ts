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

/** Waits for `work`, but no longer than `limitMs`: both are fine. Throws what `work` throws until then. */
export async function waitAtMost(clock: Clock, work: Promise<unknown>, limitMs: number): Promise<void> {
  const isOver = new AbortController()
  // The sleep rejects only when it is ended below, once the race is over.
  const patience = clock.sleep(limitMs, isOver.signal).catch(() => undefined)
  try {
    await Promise.race([work, patience])
  } finally {
    isOver.abort()
  }
}

/**
 * Runs `work` under a signal of its own, which aborts when `signal` does, and after `limitMs` with what `late` makes.
 * Other than with AbortSignal.any, nothing of it stays behind at a signal that lives as long as the agent.
 */
export async function withDeadline<T>(
  clock: Clock,
  { signal, limitMs, late }: { signal: AbortSignal; limitMs: number; late: () => Error },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController()
  const follow = (): void => own.abort(signal.reason)
  if (signal.aborted) follow()
  else signal.addEventListener('abort', follow, { once: true })
  const timer = clock.after(limitMs, () => own.abort(late()))
  try {
    return await work(own.signal)
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', follow)
  }
}

/** A promise that is settled from outside. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
}

export function deferred<T>(): Deferred<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  // A rejection that nobody waits for yet is no error of the process; whoever waits later still hears it.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
