import type { Command } from 'commander'

import { askAgent, CONTROL_LIMITS, type HistoryResult } from '../daemon/control/index.ts'
import { printable } from '../runtime/text.ts'
import { topOption, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP, failAnswer, writeJson } from './exit.ts'
import { renderHistory } from './historytext.ts'

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
      try {
        const request = { command: 'history', arguments: { countMax: top } } as const
        const result = await askAgent<HistoryResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX })
        if (json === true) writeJson(result)
        else process.stdout.write(`${renderHistory(printable(result.handoffs))}\n`)
      } catch (error) {
        failAnswer(error, json === true)
      }
    })
}
