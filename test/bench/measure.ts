import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** One way to do a piece of work, measured in turn with the others. */
export interface Side {
  name: string
  /** Bytes of work per run: the unit of rates. */
  bytes: number
  /** The unmeasured preparation of a run; returns the run, and its clean-up. */
  prepare(): Promise<{ run(): unknown; after?(): void }>
}

export interface Spread {
  median: number
  min: number
  max: number
}

export interface Measured {
  name: string
  bytesPerSecond: Spread
  /** The rate divided by that of the first side in the same round. */
  ratio: Spread
}

/** Runs all sides in turn, `rounds` times after one warm-up round; ratios are to the first side. */
export async function measureInTurn(sides: readonly Side[], rounds: number): Promise<Measured[]> {
  const rates: number[][] = sides.map(() => [])
  for (let round = -1; round < rounds; round++) {
    for (const [index, side] of sides.entries()) {
      const { run, after } = await side.prepare()
      const begunAt = performance.now()
      await run()
      const seconds = (performance.now() - begunAt) / 1000
      after?.()
      if (round >= 0) rates[index]!.push(side.bytes / seconds)
    }
  }
  return sides.map(({ name }, index) => ({
    name,
    bytesPerSecond: spreadOf(rates[index]!),
    ratio: spreadOf(rates[index]!.map((rate, round) => rate / rates[0]![round]!)),
  }))
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** Memory outside of JavaScript's heap that is still in use. */
export async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let time = 0; time < 3; time++) {
    // What closes in the next turn of the event loop holds its buffers until then.
    await setImmediate()
    // The next collection frees what one has found.
    collect()
  }
  return process.memoryUsage().arrayBuffers
}
