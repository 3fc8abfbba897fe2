import { readFile } from 'node:fs/promises'

import { InvalidArgumentError, type Command } from 'commander'

import { askAgent, type TunnelArguments, type TunnelProgress } from '../daemon/control/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { printable } from '../text/printable.ts'
import { nameArgument, withAgentFlags, type AgentFlags } from './arguments.ts'
import { EXIT_HELP, failAnswer, writeJson } from './exit.ts'
import { onStopSignal } from './stopsignal.ts'
import { renderTunnelNews } from './tunneltext.ts'

interface TunnelFlags extends AgentFlags {
  to: string
  path: string
  remotePath?: string
  mode?: number
  group?: string
}

export function addTunnel(program: Command): void {
  withAgentFlags(program.command('tunnel'))
    .summary('carry a manager\'s migrations to another host')
    .description('Listens at an address here and forwards each connection, in order, to an address on HOST, with ' +
      'references instead of pages that HOST has. Libvirt, Proxmox or QMP drive the migration as usual. Runs until ' +
      'Ctrl-C, after which it accepts no connections; migrations that have begun go on. With --json each line is an ' +
      'object.')
    .requiredOption('--to <host>', 'name of the destination host', nameArgument)
    .requiredOption('--path <addr>', 'where to listen: the path of a socket, or an IP address and port of this host',
      nameArgument)
    .option('--remote-path <addr>', 'address to connect to on the destination; default: the same as --path',
      nameArgument)
    .option('--mode <mode>', 'mode of the socket, octal; default: 0600', modeArgument)
    .option('--group <group>', 'group of the socket, one of the agent user\'s, for a QEMU that connects itself. ' +
      'Libvirt needs none: it gives the socket to its QEMU\'s user', nameArgument)
    .addHelpText('after', `
Whoever may connect to the address here can reach the one on the destination: for a port, any user of this host. The
destination's configuration (tunnel.to) says which addresses it allows.

Examples:
  pagemesh tunnel --to host-b --path /run/pagemesh/tunnel/web
  pagemesh tunnel --to host-b --path /run/pagemesh/tunnel/web --mode 0660 --group qemu
  pagemesh tunnel --to host-b --path 127.64.0.2:20500 --remote-path 127.64.0.9:20500

${EXIT_HELP}`)
    .action(tunnel)
}

async function tunnel(flags: TunnelFlags): Promise<void> {
  const abort = new AbortController()
  const restore = onStopSignal(() => abort.abort())
  try {
    const request = await requestOf(flags)
    await askAgent({
      path: flags.control, request: { command: 'tunnel', arguments: request }, cancel: abort.signal,
      onProgress: (news) => show(news as TunnelProgress, request, flags.json),
    })
  } catch (error) {
    failAnswer(error, flags.json === true)
  } finally {
    restore()
  }
}

function show(news: TunnelProgress, request: TunnelArguments, json: true | undefined): void {
  if (json === true) writeJson(news)
  else process.stdout.write(`${renderTunnelNews(printable(news), printable(request))}\n`)
}

async function requestOf({ to, path, remotePath, mode, group }: TunnelFlags): Promise<TunnelArguments> {
  return {
    to, path,
    ...(remotePath === undefined ? {} : { remotePath }),
    ...(mode === undefined ? {} : { mode }),
    ...(group === undefined ? {} : { gid: await groupNumber(group) }),
  }
}

/** Throws PagemeshError `group-unknown`. */
async function groupNumber(group: string): Promise<number> {
  if (/^\d{1,9}$/.test(group)) return Number(group)
  for (const line of (await readFile('/etc/group', 'utf8')).split('\n')) {
    const [name, , gid] = line.split(':')
    if (name === group && gid !== undefined && /^\d+$/.test(gid)) return Number(gid)
  }
  throw new PagemeshError('group-unknown', `There is no group ${group} on this host.`, {
    fault: 'usage', advice: 'Give its name in /etc/group, or its number.',
  })
}

function modeArgument(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8)
  throw new InvalidArgumentError('Expected an octal mode such as 0660.')
}
