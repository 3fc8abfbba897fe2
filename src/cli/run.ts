/**
 * Runs one `pagemesh` command to its end. Each command has its own file and imports what it needs only when it runs, so
 * that `status` and `--help` do not wait for the mesh's libraries.
 */
import { CommanderError } from 'commander'

import { EXIT, fail } from './exit.ts'
import { createProgram } from './program.ts'

// A reader that closes the pipe early, such as `head`, is no error.
process.stdout.on('error', () => process.exit())

try {
  await createProgram().parseAsync()
} catch (error) {
  // Commander has already printed the error or the help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  else fail(error)
}
// Waits until buffered output has reached a pipe; otherwise it would be lost.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit()
