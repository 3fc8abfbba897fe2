import type { Clock } from '../src/runtime/clock.ts'
import { LabError } from './laberror.ts'

export interface WaitOptions {
  clock: Clock
  /** What is waited for, for the error: "guest web to be ready". */
  what: string
  timeoutMs: number
  /** Pause between two polls, ms; default 50. */
  pauseMs?: number
  signal?: AbortSignal
}

/**
 * Polls until `look` returns something other than undefined, and resolves to it. Throws LabError `lab-timeout`, or
 * the error of `look`.
 */
export async function waitFor<T>(look: () => T | undefined | Promise<T | undefined>, options: WaitOptions): Promise<T> {
  const { clock, what, timeoutMs, pauseMs = 50, signal } = options
  const startedAt = clock.now()
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (clock.now() - startedAt > timeoutMs) {
      throw new LabError('lab-timeout', `Waited ${timeoutMs / 1000} s in vain for ${what}.`, {
        advice: 'Look at the serial log in the guest\'s directory, and at the load of this machine.',
      })
    }
    await clock.sleep(pauseMs, signal)
  }
}
