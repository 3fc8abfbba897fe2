import { getPriority, setPriority } from 'node:os'

/** A vCPU that wants the same core gets 28 times as much of it. */
const POLITE_NICE = 15

/**
 * How much of a busy core this thread, not its process, may take: on Linux a nice value is a thread's own. Urgent work
 * goes on as the thread was started. Where a change is not allowed things stay as they are: a thread without privileges
 * can become polite and not go back.
 */
export class ThreadPriority {
  readonly #ownNice = getPriority(0)

  set(isUrgent: boolean): void {
    try {
      setPriority(0, isUrgent ? this.#ownNice : Math.max(this.#ownNice, POLITE_NICE))
    } catch {
      // It scans all the same.
    }
  }
}
