/**
 * Runs one `pagemesh` command to its end. Each command has its own file and imports what it needs only when it runs, so
 * that `status` and `--help` do not wait for the mesh's libraries.
 */
import { setTimeout } from 'node:timers/promises'

import { CommanderError } from 'commander'

import { EXIT, fail } from './exit.ts'
import { createProgram } from './program.ts'

/** Longest wait at the end for who reads standard error. */
const COMPLAINING_MS_MAX = 1_000

// A reader that closes the pipe early, such as `head`, is no error.
process.stdout.on('error', () => process.exit())
// What cannot be complained about still has its exit status.
process.stderr.on('error', () => undefined)

try {
  await createProgram().parseAsync()
} catch (error) {
  // Commander has already printed the error or the help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  else fail(error)
}
// Waits until buffered output has reached a pipe; otherwise it would be lost.
const written = new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
const complained = new Promise<void>((resolve) => process.stderr.write('', () => resolve()))
// A reader of the log that hangs must not keep a stopped agent.
await Promise.all([written, Promise.race([complained, setTimeout(COMPLAINING_MS_MAX)])])
process.exit()
