import type { Command } from 'commander'

import type { PeersResult } from '../daemon/control/index.ts'
import type { AcceptedPeer, PeerName } from '../index.ts'
import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { showAnswer } from './showanswer.ts'
import { alignColumns } from './table.ts'

const ANSWER_MS_MAX = 10_000

export function addPeers(program: Command): void {
  const peers = withAgentFlags(program.command('peers'))
    .summary('show which identity each host\'s name belongs to')
    .description('Shows the host names of the mesh, the member that uses each now, and the identity that it belongs\n' +
      'to: the first that proved the cluster key under it. Another identity that claims the name is refused\n' +
      'until an operator accepts it on each host that knows the name.')
    .addHelpText('after', `
Examples:
  pagemesh peers
  pagemesh peers accept host-b

${EXIT_HELP}`)
    .action(async ({ control, json }: AgentFlags) => {
      const request = { command: 'peers' } as const
      await showAnswer<PeersResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json,
        (answer) => renderPeers(answer.peers))
    })
  addAccept(peers)
}

function addAccept(peers: Command): void {
  withAgentFlags(peers.command('accept'))
    .summary('give a name to the identity that claims it')
    .description('Gives NAME to the identity that claims it, for example after a host was reinstalled. First\n' +
      'compare the identity with `peerId` of `pagemesh status --json` on that host.')
    .argument('<name>', 'name of the host', nameArgument)
    .option('--peer-id <id>', 'the identity, if several claim the name or none does yet')
    .addHelpText('after', `
Example:
  pagemesh peers accept host-b

${EXIT_HELP}`)
    .action(async (name: string, _flags: unknown, command: Command) => {
      // Options of both commands, such as --json, are parsed by the parent command.
      const { control, json, peerId } = command.optsWithGlobals<AgentFlags & { peerId?: string }>()
      const named = { name, ...(peerId === undefined ? {} : { peerId }) }
      const request = { command: 'acceptPeer', arguments: named } as const
      await showAnswer<AcceptedPeer>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json, (accepted) =>
        `${accepted.host} is ${accepted.peerId} from now on, on this host; before: ${accepted.before ?? 'nobody'}.`)
    })
}

/** Pure. */
function renderPeers(peers: readonly PeerName[]): string {
  return alignColumns([
    ['HOST', 'NOW', 'IDENTITY', 'SINCE', 'CLAIMED BY'],
    ...peers.map(({ host, peerId, address, pinnedTo, pinnedAt, claims }) => [
      host,
      peerId === null ? 'not here' : address ?? '',
      pinnedTo ?? peerId ?? '-',
      pinnedAt?.replace(/\.\d+Z$/, 'Z') ?? '-',
      claims.map((claim) => `${claim.peerId} (${claim.count} times, last ${claim.lastAt})`).join(', '),
    ]),
  ])
}
