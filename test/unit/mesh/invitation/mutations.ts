import { PagemeshError } from '../../../../src/runtime/errors.ts'
import type { Random } from '../../../../src/runtime/random.ts'

/** The text with some of its bytes changed, cut off or repeated. */
export function mutated(random: Random, text: string): string {
  const bytes = Buffer.from(text)
  const place = (): number => Math.floor(random.fraction() * bytes.length)
  for (let count = Math.floor(random.fraction() * 4); count > 0; count--) bytes[place()] = random.bytes(1)[0]!
  const [from, to] = [place(), place()]
  if (random.fraction() < 0.3) return bytes.subarray(0, from).toString()
  if (random.fraction() < 0.3) return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]).toString()
  return bytes.toString()
}

/** The code of the PagemeshError that `run` throws; undefined if it throws none. Other errors are thrown on. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof PagemeshError) return error.code
    throw error
  }
}
