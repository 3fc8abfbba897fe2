import { getPriority, setPriority } from 'node:os'

/** A vCPU that competes for the core gets 28 times as much processor time. */
const POLITE_NICE = 15

/**
 * The nice value of this thread; on Linux each thread has its own. Urgent work runs at the value that the thread
 * started with. An unprivileged thread can raise its nice value but not lower it again; a refused change is ignored.
 */
export class ThreadPriority {
  readonly #ownNice = getPriority(0)

  set(isUrgent: boolean): void {
    try {
      setPriority(0, isUrgent ? this.#ownNice : Math.max(this.#ownNice, POLITE_NICE))
    } catch {
      // Not allowed: the scan runs at the old priority.
    }
  }
}
