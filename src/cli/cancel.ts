import type { Command } from 'commander'

import { askAgent, type CancelResult } from '../daemon/control/index.ts'
import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT, EXIT_HELP, failAnswer, writeJson } from './exit.ts'

/** A cancel waits until QEMU has given up and the other agent was told. */
const ANSWER_MS_MAX = 60_000

export function addCancel(program: Command): void {
  withAgentFlags(program.command('cancel'))
    .summary('cancel a running handoff')
    .description('Cancels the handoff of GUEST and waits for its end; the guest goes on at the source.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .addHelpText('after', `
Example:
  pagemesh cancel web-1

${EXIT_HELP}`)
    .action(async (guest: string, { control, json }: AgentFlags) => {
      try {
        const request = { command: 'cancel', arguments: { guest } } as const
        const result = await askAgent<CancelResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX })
        if (result.status !== 'cancelled') process.exitCode = EXIT.failed
        if (json === true) writeJson(result)
        else if (result.status === 'cancelled') process.stdout.write(`Cancelled: ${guest} goes on here.\n`)
        else {
          const reason = result.reason === undefined ? '' : ` ${result.reason}`
          process.stderr.write(`pagemesh: Too late to cancel: the handoff of ${guest} ${result.status}.${reason}\n`)
        }
      } catch (error) {
        failAnswer(error, json === true)
      }
    })
}
