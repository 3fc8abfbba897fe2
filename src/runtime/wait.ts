import type { Clock } from './clock.ts'
import { PagemeshError, type Fault } from './errors.ts'

/** Waits for `work`, but at most `limitMs`; then throws PagemeshError `timeout`, which names the phase. */
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

/** Waits until `work` ends or `limitMs` has passed. Rethrows an error of `work` until then. */
export async function waitAtMost(clock: Clock, work: Promise<unknown>, limitMs: number): Promise<void> {
  const isOver = new AbortController()
  // Rejects only when it is ended below, after the race.
  const patience = clock.sleep(limitMs, isOver.signal).catch(() => undefined)
  try {
    await Promise.race([work, patience])
  } finally {
    isOver.abort()
  }
}

/**
 * Runs `work` under its own signal, which aborts with `signal`, or after `limitMs` with the error of `late`. Unlike
 * AbortSignal.any, it leaves no listener on a signal that lives as long as the agent.
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
  // A rejection before anybody awaits the promise must not count as unhandled; later awaiters still get it.
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

/** What `work` makes of each item, in their order, for `countMax` at a time. Rejects with its first error. */
export async function someAtOnce<Item, Made>(
  items: readonly Item[], countMax: number, work: (item: Item) => Promise<Made>,
): Promise<Made[]> {
  const made: Made[] = []
  let next = 0
  const run = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) made[index] = await work(items[index]!)
  }
  await Promise.all(Array.from({ length: countMax }, run))
  return made
}
