import type { Command } from 'commander'

import { askAgent, CONTROL_LIMITS, type PagesResult } from '../daemon/control/index.ts'
import type { AgentStatus } from '../index.ts'
import { topOption, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP } from './exit.ts'
import { explainNoPages, renderPages } from './pagestext.ts'
import { showAnswer } from './showanswer.ts'

const TOP_DEFAULT = 20
/** An agent that is hashing pages may answer slowly, and the answer may list a hundred thousand pages. */
const ANSWER_MS_MAX = 20_000

export function addPages(program: Command): void {
  withAgentFlags(program.command('pages'))
    .summary('show the most popular pages of the mesh')
    .description('Shows the pages that most hosts of the mesh hold, as far as this host knows: the first 64 bits of\n' +
      'each page\'s id, in how many hosts and guests it lives, whether a guest here has it, and up to three holders.')
    .addOption(topOption('pages', CONTROL_LIMITS.pagesMax, TOP_DEFAULT))
    .addHelpText('after', `
Examples:
  pagemesh pages
  pagemesh pages --top 1000 --json | jq '.pages[] | select(.held | not) | .prefix'

${EXIT_HELP}`)
    .action(async ({ control, json, top }: AgentFlags & { top: number }) => {
      const request = { command: 'pages', arguments: { countMax: top } } as const
      await showAnswer<PagesResult>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json,
        ({ pages }) => pages.length > 0 ? renderPages(pages) : explain(control))
    })
}

async function explain(path: string): Promise<string> {
  const request = { command: 'status' } as const
  return explainNoPages(await askAgent<AgentStatus>({ path, request, answerMsMax: ANSWER_MS_MAX }))
}
