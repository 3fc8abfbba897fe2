import { setImmediate } from 'node:timers/promises'

/** Yields to everything else that waits in this thread: timers, sockets, messages. */
export async function nextTurn(): Promise<void> {
  await setImmediate()
}
