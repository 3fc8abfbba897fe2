import type { Command } from 'commander'

import type { Invitation } from '../index.ts'
import { countArgument, durationArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { showAnswer } from './showanswer.ts'

const ANSWER_MS_MAX = 10_000

export function addInvite(program: Command): void {
  withAgentFlags(program.command('invite'))
    .summary('print a token with which a new host joins')
    .description('Prints a token with which a new host gets the cluster key from this one: see `pagemesh join`.\n' +
      'Whoever has it can join, so carry it as you would the key. It ends with its time, its uses, or this agent.')
    .option('--ttl <time>', 'how long it is good: 90s, 30m, 1h, 2d, at most 7d', durationArgument, 3_600_000)
    .option('--uses <count>', 'how many hosts may join with it', countArgument, 1)
    .addHelpText('after', `
Example:
  pagemesh invite --ttl 15m

${EXIT_HELP}`)
    .action(async ({ control, json, ttl, uses }: AgentFlags & { ttl: number; uses: number }) => {
      const request = { command: 'invite', arguments: { ttlMs: ttl, uses } } as const
      await showAnswer<Invitation>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json, (invitation) => {
        process.stderr.write(howToUse(invitation))
        return invitation.token
      })
    })
}

/** Pure. */
function howToUse({ address, expiresAt, uses }: Invitation): string {
  return `On the new host, until ${expiresAt}${uses === 1 ? '' : `, ${uses} times`}:
  pagemesh join ${address} - --config /etc/pagemesh/agent.yaml
It asks for this token:
`
}
