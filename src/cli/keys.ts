import type { Command } from 'commander'

import type { KeysArguments } from '../daemon/control/index.ts'
import type { HostKeys, KeysReport } from '../index.ts'
import { namesArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { complain, EXIT, EXIT_HELP, failAnswer } from './exit.ts'
import { showAnswer } from './showanswer.ts'
import { alignColumns } from './table.ts'

/** Each member may take 20 s, 16 of them at once. */
const ANSWER_MS_MAX = 300_000

interface ChangeFlags extends AgentFlags {
  without?: string[]
}

export function addKeys(program: Command): void {
  const keys = withAgentFlags(program.command('keys'))
    .summary('show or change the cluster keys')
    .description('Shows which cluster keys each host has, by id, and which it uses. To exchange it while guests\n' +
      'move: install a new one, use it, remove the old one. Each step goes to every member of the mesh, and\n' +
      'begins only where all have taken the step before. It exits 1 unless every member has answered and\n' +
      'done it. Whoever had the old key may be a member: look at `pagemesh peers` first, and see --here of\n' +
      '`install`.')
    .addHelpText('after', `
Examples:
  pagemesh keys
  pagemesh keygen /root/new.key
  pagemesh keys install /root/new.key
  pagemesh keys use 31f0c3a2b7d95e46
  pagemesh keys remove 8c0d15e2a94b7f03

${EXIT_HELP}`)
    .action(async (flags: AgentFlags) => { await ask({ action: 'list' }, flags) })
  addInstall(keys)
  addUse(keys)
  addRemove(keys)
}

function addInstall(keys: Command): void {
  withChangeFlags(keys.command('install'))
    .summary('have all hosts accept another key')
    .description('Sends the cluster key in FILE to every member, which accepts it from now on beside its own. None\n' +
      'uses it yet. Hosts that are down get it from this agent when they come back.')
    .argument('<file>', 'a new key, made by `pagemesh keygen`')
    .option('--here', 'install it on this host alone, and send it to nobody: for keys that you carry to each host')
    .addHelpText('after', `
Examples:
  pagemesh keys install /root/new.key
  pagemesh keys install /root/new.key --here     on each host, if somebody else may have the old key

${EXIT_HELP}`)
    .action(async (file: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ChangeFlags & { here?: true }>()
      const key = await readKey(file, flags)
      if (key === undefined) return
      const { here } = flags
      await ask({ action: 'install', key, ...(here === undefined ? {} : { here }), ...excusedBy(flags) }, flags)
    })
}

function addUse(keys: Command): void {
  withChangeFlags(keys.command('use'))
    .summary('have all hosts use an installed key')
    .description('Every host uses the key ID from now on, and goes on accepting the other. Refused unless every\n' +
      'member has it. Handoffs go on.')
    .argument('<id>', 'id of the key, as `pagemesh keys` shows it')
    .addHelpText('after', `
Example:
  pagemesh keys use 31f0c3a2b7d95e46

${EXIT_HELP}`)
    .action(async (id: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ChangeFlags>()
      await ask({ action: 'use', id, ...excusedBy(flags) }, flags)
    })
}

function addRemove(keys: Command): void {
  withChangeFlags(keys.command('remove'))
    .summary('have all hosts forget a key that none uses')
    .description('No host accepts the key ID any more, and none ever takes it again. Refused while a host uses it,\n' +
      'or while a known host is down that may need it, unless --without names that.')
    .argument('<id>', 'id of the key, as `pagemesh keys` shows it')
    .addHelpText('after', `
Examples:
  pagemesh keys remove 8c0d15e2a94b7f03
  pagemesh keys remove 8c0d15e2a94b7f03 --without host-d

${EXIT_HELP}`)
    .action(async (id: string, _flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<ChangeFlags>()
      await ask({ action: 'remove', id, ...excusedBy(flags) }, flags)
    })
}

function withChangeFlags(command: Command): Command {
  return withAgentFlags(command)
    .option('--without <hosts>', 'known hosts that may be missing, separated by commas', namesArgument)
}

function excusedBy({ without }: ChangeFlags): { without?: string[] } {
  return without === undefined ? {} : { without }
}

/** As base64url. Undefined: it is reported that there is none. */
async function readKey(file: string, { json }: AgentFlags): Promise<string | undefined> {
  const { readClusterKey } = await import('../index.ts')
  try {
    return Buffer.from(await readClusterKey(file)).toString('base64url')
  } catch (error) {
    failAnswer(error, json === true)
    return undefined
  }
}

async function ask(asked: KeysArguments, { control, json }: AgentFlags): Promise<void> {
  const request = { command: 'keys', arguments: asked } as const
  await showAnswer<KeysReport>({ path: control, request, answerMsMax: ANSWER_MS_MAX }, json, renderKeys, (report) => {
    if (report.complete) return
    complain(lacking(report))
    process.exitCode = EXIT.failed
  })
}

/** Pure. */
function renderKeys({ hosts, absent }: KeysReport): string {
  return alignColumns([
    ['HOST', 'USES', 'ACCEPTS'],
    ...hosts.map(rowOf),
    ...absent.map((host) => [host, '-', 'not here']),
  ])
}

function rowOf({ host, used, accepts, why }: HostKeys): string[] {
  return [host, used ?? '-', [accepts.join(' '), why ?? ''].filter((text) => text !== '').join('  ')]
}

/** Pure. */
function lacking({ hosts, absent }: KeysReport): string {
  const failed = hosts.filter(({ why }) => why !== null).map(({ host }) => host)
  const what = failed.length > 0 ? `${failed.join(', ')} did not do it, see above`
    : absent.length > 0 ? `${absent.join(', ')} cannot be reached` : 'not every host has done it'
  return `${what}. Mend that and run this again, before the next step; --without names hosts that may be missing.`
}
