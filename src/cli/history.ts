import type { Command } from 'commander'

import { CONTROL_LIMITS, type HistoryResult } from '../daemon/control/index.ts'
import { topOption, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { renderHistory } from './historytext.ts'
import { showAnswer } from './showanswer.ts'

const TOP_DEFAULT = 20
/** An agent that hashes pages may be slow to answer, but not this slow. */
const ANSWER_MS_MAX = 10_000

export function addHistory(program: Command): void {
  withAgentFlags(program.command('history'))
    .summary('show the last handoffs of this host')
    .description('Shows the last handoffs from and to this host, newest first, failed ones too. They survive a ' +
      'restart of the agent.')
    .addOption(topOption('handoffs', CONTROL_LIMITS.recordsMax, TOP_DEFAULT))
    .addHelpText('after', `
Examples:
  pagemesh history
  pagemesh history --top 200 --json | jq '.handoffs[] | select(.status == "failed") | .reason'

${EXIT_HELP}`)
    .action(async ({ control, json, top }: AgentFlags & { top: number }) => {
      const request = { command: 'history', arguments: { countMax: top } } as const
      await showAnswer<HistoryResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json,
        ({ handoffs }) => renderHistory(handoffs))
    })
}
