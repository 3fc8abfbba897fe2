import type { Command } from 'commander'

import { CONTROL_LIMITS, type AuditResult, type HistoryResult } from '../daemon/control/index.ts'
import { topOption, withAgentFlags, type AgentFlags } from './arguments.ts'
import { renderAudit } from './audittext.ts'
import { EXIT_HELP } from './exit.ts'
import { renderHistory } from './historytext.ts'
import { showAnswer } from './showanswer.ts'

const TOP_DEFAULT = 20
/** An agent that is hashing pages may answer slowly, but not this slowly. */
const ANSWER_MS_MAX = 10_000

export function addHistory(program: Command): void {
  withAgentFlags(program.command('history'))
    .summary('show the last handoffs of this host')
    .description('Shows the last handoffs from and to this host, newest first, failed ones too. They survive a ' +
      'restart of the agent. With --audit it shows the audit log instead: guests moved, pages of this host that ' +
      'members fetched, and requests refused; repeated events become one line a minute.')
    .option('--audit', 'show the audit log instead')
    .addOption(topOption(`records (of handoffs there are ${CONTROL_LIMITS.recordsMax})`, CONTROL_LIMITS.auditMax,
      TOP_DEFAULT))
    .addHelpText('after', `
Examples:
  pagemesh history
  pagemesh history --audit --top 1000
  pagemesh history --top 200 --json | jq '.handoffs[] | select(.status == "failed") | .reason'

${EXIT_HELP}`)
    .action(async ({ control, json, top, audit }: AgentFlags & { top: number; audit?: true }, command: Command) => {
      if (audit === true) {
        const request = { command: 'audit', arguments: { countMax: top } } as const
        await showAnswer<AuditResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json,
          ({ records }) => renderAudit(records))
        return
      }
      if (top > CONTROL_LIMITS.recordsMax) command.error(`error: ${CONTROL_LIMITS.recordsMax} handoffs are remembered.`)
      const request = { command: 'history', arguments: { countMax: top } } as const
      await showAnswer<HistoryResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json,
        ({ handoffs }) => renderHistory(handoffs))
    })
}
