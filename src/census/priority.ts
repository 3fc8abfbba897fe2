import { setPriority } from 'node:os'

/** A vCPU that wants the same core gets 28 times as much of it. */
const POLITE_NICE = 15
const NORMAL_NICE = 0

/**
 * Sets how much of a busy core this thread, not its process, may take (on Linux a nice value is a thread's own). Where
 * that is not allowed things stay as they are: a thread without privileges can become polite and not go back.
 */
export function setThreadPriority(isUrgent: boolean): void {
  try {
    setPriority(0, isUrgent ? NORMAL_NICE : POLITE_NICE)
  } catch {
    // It scans all the same.
  }
}
