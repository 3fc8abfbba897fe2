import type { Command } from 'commander'

import type { AgentStatus } from '../index.ts'
import { withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { showAnswer } from './showanswer.ts'
import { renderStatus } from './statustext.ts'

/** An agent that is hashing pages may answer slowly, but not this slowly. */
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
      const ask = { path: control, request: { command: 'status' }, answerMsMax: ANSWER_MS_MAX } as const
      await showAnswer<AgentStatus>(ask, json, renderStatus)
    })
}
