import type { Command } from 'commander'

import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { followHandoff } from './following.ts'

export function addRecover(program: Command): void {
  withAgentFlags(program.command('recover'))
    .summary('resume a broken post-copy handoff')
    .description('Resumes the handoff of GUEST, which broke in post-copy. Run it on the source\'s host, when both ' +
      'agents are up and see each other again. Until it is done end neither QEMU: each holds a part of the ' +
      'guest. Ctrl-C asks to cancel; the guest then waits as before.')
    .argument('<guest>', 'name of the guest', nameArgument)
    .addHelpText('after', `
Example:
  pagemesh recover web-1

${EXIT_HELP}`)
    .action(async (guest: string, flags: AgentFlags) => {
      await followHandoff({ command: 'recover', arguments: { guest } }, { guest }, flags)
    })
}
