#!/usr/bin/env -S node --min-semi-space-size=32 --initial-old-space-size=256
/**
 * The `pagemesh` command. Each command has its own file and imports what it needs only when it runs, so that `status`
 * and `--help` do not wait for the mesh's libraries. The first line's flags enlarge V8's young generation for a
 * handoff's short-lived buffers: with the defaults a third of the agent's time goes to garbage collection.
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
