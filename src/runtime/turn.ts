import { setImmediate } from 'node:timers/promises'

/** Entries of one piece: some milliseconds of work. */
const PIECE = 1 << 14
/** After this long, ms, others get their turn: an agent answers within 50. */
const TURN_MS = 8

/** Yields to everything else that waits in this thread: timers, sockets, messages. */
export async function nextTurn(): Promise<void> {
  await setImmediate()
}

/** Works on the entries 0 to `count` in pieces, from one entry up to another, and yields in between when it is time. */
export async function inPieces(count: number, work: (from: number, to: number) => void): Promise<void> {
  let begunAt = performance.now()
  for (let from = 0; from < count; from += PIECE) {
    if (performance.now() - begunAt >= TURN_MS) {
      await nextTurn()
      begunAt = performance.now()
    }
    work(from, Math.min(count, from + PIECE))
  }
}
