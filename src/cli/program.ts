/** The `pagemesh` command as commander sees it: it parses the command line, and is the table of all that there is. */
import { createRequire } from 'node:module'

import { Command } from 'commander'

import { addAgent } from './agent.ts'
import { addBugReport } from './bugreport.ts'
import { addCancel } from './cancel.ts'
import { addCheck } from './check.ts'
import { addDoctor } from './doctor.ts'
import { addEvacuate } from './evacuate.ts'
import { EXIT_HELP } from './exit.ts'
import { addHistory } from './history.ts'
import { addInvite } from './invite.ts'
import { addJoin } from './join.ts'
import { addKeygen } from './keygen.ts'
import { addKeys } from './keys.ts'
import { addMigrate } from './migrate.ts'
import { addPages } from './pages.ts'
import { addPeers } from './peers.ts'
import { addRecover } from './recover.ts'
import { addSettle } from './settle.ts'
import { addStatus } from './status.ts'
import { addTunnel } from './tunnel.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

/** A program of its own for each caller: a commander program holds what it has parsed. */
export function createProgram(): Command {
  const program = new Command('pagemesh')
    .description('Live migration of virtual machines that sends references instead of pages.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('Try `pagemesh help` or the --help of the command.')
    .addHelpText('after', `\n${EXIT_HELP}`)
  for (const add of [
    addKeygen, addInvite, addJoin, addAgent, addCheck, addDoctor, addStatus, addPages, addMigrate, addEvacuate,
    addCancel, addRecover, addSettle, addHistory, addPeers, addKeys, addTunnel, addBugReport,
  ]) add(program)
  return program
}
