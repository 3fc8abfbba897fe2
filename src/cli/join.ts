import { createInterface } from 'node:readline'

import type { Command } from 'commander'

import type { NewHost } from '../daemon/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { printable } from '../text/printable.ts'
import { nameArgument } from './arguments.ts'
import { EXIT, EXIT_HELP, failConfigured, writeJson } from './exit.ts'
import { onStopSignal } from './stopsignal.ts'

/** Text that is read for a token at most, characters. */
const TOKEN_TEXT_MAX = 1_024

interface JoinFlags {
  config: string
  key?: string
  name?: string
  listen?: string
  json?: true
}

export function addJoin(program: Command): void {
  program.command('join')
    .summary('make this host one of a cluster, with a token')
    .description('Gets the cluster key from the host that made TOKEN (`pagemesh invite` there prints it, and HOST).\n' +
      'Each proves the token to the other first. Writes the key and a configuration, also into one that\n' +
      'holds nothing but comments. Overwrites nothing else, and leaves nothing behind if it fails.')
    .argument('<host>', 'host:port that `pagemesh invite` printed')
    .argument('<token>', 'the token; - reads it from standard input, so that no user of this host sees it in `ps`')
    .requiredOption('--config <file>', 'where the configuration goes')
    .option('--key <file>', 'where the cluster key goes; default: cluster.key beside the configuration')
    .option('--name <name>', 'name of this host in the mesh; default: its host name', nameArgument)
    .option('--listen <address>', 'multiaddr to listen on; default: the address by which it reached the other host')
    .option('--json', 'one JSON object on standard output, nothing else there')
    .addHelpText('after', `
Example:
  pagemesh join 10.0.0.1:4002 - --config /etc/pagemesh/agent.yaml

${EXIT_HELP}`)
    .action(join)
}

async function join(address: string, given: string, { json, ...flags }: JoinFlags): Promise<void> {
  // The kernel shows the arguments of a process to every user.
  process.title = 'pagemesh join'
  const abort = new AbortController()
  const stopped = new PagemeshError('cancelled', 'It was stopped, and wrote nothing.', { fault: 'cancelled' })
  const off = onStopSignal(() => abort.abort(stopped))
  try {
    const token = given === '-' ? await askForToken(abort.signal) : given
    const { makeNewHost } = await import('../daemon/index.ts')
    const host = await makeNewHost({ ...flags, address, token, signal: abort.signal })
    if (json === true) writeJson(host)
    else process.stdout.write(`${describe(printable(host))}\n`)
  } catch (error) {
    failConfigured(abort.signal.aborted ? stopped : error, json === true)
    if (abort.signal.aborted) process.exitCode = EXIT.cancelled
  } finally {
    off()
  }
}

async function askForToken(signal: AbortSignal): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write('Token: ')
  const lines = createInterface({ input: process.stdin, terminal: false, signal })
  try {
    for await (const line of lines) return line.trim().slice(0, TOKEN_TEXT_MAX)
    return ''
  } finally {
    lines.close()
    signal.throwIfAborted()
  }
}

/** Pure. */
function describe({ name, from, config, clusterKey, listen, bootstrap }: NewHost): string {
  return `${name} has the cluster key of ${from}, in ${clusterKey}.
It listens on ${listen} and dials ${bootstrap} first: see ${config}, and add its guests there.
Then: pagemesh check --config ${config}, and start the agent.`
}
