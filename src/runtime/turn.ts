import { setImmediate } from 'node:timers/promises'

/** Lets everything else that waits in this thread have a turn: timers, sockets, messages. */
export async function nextTurn(): Promise<void> {
  await setImmediate()
}
