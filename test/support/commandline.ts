import { CommanderError } from 'commander'

/** Tells of the progress on standard error, with the seconds since the command began. */
export type Say = (line: string) => void

/** Runs a command of the project; resolves to its exit status: 2 for wrong usage, 0 after its help. */
export async function runWith<Flags>(
  parse: () => Flags, run: (flags: Flags, say: Say) => number | Promise<number>,
): Promise<number> {
  let flags: Flags
  try {
    flags = parse()
  } catch (error) {
    // The command has said what is wrong already, or printed its help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
  const begunAt = performance.now()
  return await run(flags, (line) => {
    process.stderr.write(`${((performance.now() - begunAt) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
  })
}
