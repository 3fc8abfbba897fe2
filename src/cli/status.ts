import type { Command } from 'commander'

import type { AgentStatus, ClusterView } from '../index.ts'
import { withAgentFlags, type AgentFlags } from './arguments.ts'
import { renderCluster } from './clustertext.ts'
import { EXIT_HELP } from './exit.ts'
import { showAnswer } from './showanswer.ts'
import { renderStatus } from './statustext.ts'

/** An agent that is hashing pages may answer slowly, but not this slowly. */
const ANSWER_MS_MAX = 10_000

export function addStatus(program: Command): void {
  withAgentFlags(program.command('status'))
    .summary('show what this host\'s agent knows and does')
    .description('Shows this host: peers, guests, census, popularity, store, traffic, handoffs, held guests.\n' +
      'With --cluster all hosts of the mesh, each asked by this host\'s agent, and what is not well there.')
    .option('--cluster', 'all hosts of the mesh, their guests and what moves between them')
    .addHelpText('after', `
Examples:
  pagemesh status
  pagemesh status --cluster
  pagemesh status --json | jq '.guests[].name'

${EXIT_HELP}`)
    .action(async ({ control, json, cluster }: AgentFlags & { cluster?: true }) => {
      if (cluster === true) {
        const ask = { path: control, request: { command: 'cluster' }, answerMsMax: ANSWER_MS_MAX } as const
        await showAnswer<ClusterView>(ask, json, renderCluster)
        return
      }
      const ask = { path: control, request: { command: 'status' }, answerMsMax: ANSWER_MS_MAX } as const
      await showAnswer<AgentStatus>(ask, json, renderStatus)
    })
}
