#!/usr/bin/env -S node --min-semi-space-size=32 --initial-old-space-size=256
/**
 * The `pagemesh` command. Each command has its own file and imports what it needs only when it runs, so that `status`
 * and `--help` do not wait for the mesh's libraries. The first line's flags enlarge V8's young generation for a
 * handoff's short-lived buffers: with the defaults a third of the agent's time goes to garbage collection.
 */
import { createRequire } from 'node:module'

import { Command, CommanderError } from 'commander'

import { addAgent } from './agent.ts'
import { addCancel } from './cancel.ts'
import { addCheck } from './check.ts'
import { addEvacuate } from './evacuate.ts'
import { EXIT, EXIT_HELP, fail } from './exit.ts'
import { addHistory } from './history.ts'
import { addKeygen } from './keygen.ts'
import { addMigrate } from './migrate.ts'
import { addPages } from './pages.ts'
import { addPeers } from './peers.ts'
import { addRecover } from './recover.ts'
import { addSettle } from './settle.ts'
import { addStatus } from './status.ts'
import { addTunnel } from './tunnel.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

const program = new Command('pagemesh')
  .description('Live migration of virtual machines that sends references instead of pages.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('Try `pagemesh help` or the --help of the command.')
  .addHelpText('after', `\n${EXIT_HELP}`)

for (const add of [
  addKeygen, addAgent, addCheck, addStatus, addPages, addMigrate, addEvacuate, addCancel, addRecover, addSettle,
  addHistory, addPeers, addTunnel,
]) add(program)

// A reader that closes the pipe early, such as `head`, is no error.
process.stdout.on('error', () => process.exit())

try {
  await program.parseAsync()
} catch (error) {
  // Commander has already printed the error or the help.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  else fail(error)
}
// Waits until buffered output has reached a pipe; otherwise it would be lost.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()))
process.exit()
