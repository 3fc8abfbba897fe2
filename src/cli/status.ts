import type { Command } from 'commander'

import { askAgent } from '../daemon/control/index.ts'
import type { AgentStatus } from '../index.ts'
import { printable } from '../runtime/text.ts'
import { withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP, failAnswer, writeJson } from './exit.ts'
import { renderStatus } from './statustext.ts'

/** An agent that hashes pages may be slow to answer, but not this slow. */
const ANSWER_MS_MAX = 10_000

export function addStatus(program: Command): void {
  withAgentFlags(program.command('status'))
    .summary('show what this host\'s agent knows and does')
    .description('Shows this host: peers, guests, census, popularity, store, traffic, handoffs, guests that are held.')
    .addHelpText('after', `
Examples:
  pagemesh status
  pagemesh status --json | jq '.guests[].name'

${EXIT_HELP}`)
    .action(async ({ control, json }: AgentFlags) => {
      try {
        const status = await askAgent<AgentStatus>({
          path: control, request: { command: 'status' }, answerMsMax: ANSWER_MS_MAX,
        })
        if (json === true) writeJson(status)
        else process.stdout.write(`${renderStatus(printable(status))}\n`)
      } catch (error) {
        failAnswer(error, json === true)
      }
    })
}
