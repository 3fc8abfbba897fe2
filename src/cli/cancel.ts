import type { Command } from 'commander'

import { askAgent, type CancelResult } from '../daemon/control/index.ts'
import { escapeControls } from '../text/printable.ts'
import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { complain, EXIT, EXIT_HELP, failAnswer, writeJson } from './exit.ts'
import { describeArrival } from './handofftext.ts'

export function addCancel(program: Command): void {
  withAgentFlags(program.command('cancel'))
    .summary('ask for a running handoff to be cancelled')
    .description('Asks for the handoff of GUEST to be cancelled, waits until QEMU has decided, and says what ' +
      'became of it: cancelled, and the guest stays here, or too late. A handoff in post-copy cannot be ' +
      'cancelled any more. Exits 0 only if it was cancelled. Ctrl-C only ends the wait.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .addHelpText('after', `
Example:
  pagemesh cancel web-1

${EXIT_HELP}`)
    .action(async (guest: string, { control, json }: AgentFlags) => {
      try {
        // No time limit: only switchover shows whether it is too late, and the agents limit that wait.
        const request = { command: 'cancel', arguments: { guest } } as const
        const outcome = await askAgent<CancelResult>({ path: control, request })
        if (outcome.status !== 'cancelled') {
          complain(describeRefusal(outcome))
          process.exitCode = EXIT.failed
        }
        if (json === true) writeJson(outcome)
        else if (outcome.status === 'cancelled') {
          process.stdout.write(`Cancelled: ${escapeControls(guest)} goes on here.\n`)
        }
      } catch (error) {
        failAnswer(error, json === true)
      }
    })
}

/** The outcome of a handoff that was not cancelled. Pure. */
function describeRefusal({ guest, status, reason, result }: CancelResult): string {
  if (status === 'too-late') return `Too late: ${guest} has moved to ${result.to}.${describeArrival(result)}`
  return `Not cancelled: the handoff of ${guest} to ${result.to} failed. ${reason ?? 'See the log of the agent.'}`
}
