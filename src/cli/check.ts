import type { Command } from 'commander'

import { askAgent } from '../daemon/control/index.ts'
import type { Config } from '../daemon/index.ts'
import { RIGHTS_ADVICE } from '../host/rights.ts'
import type { AcceptRule, AgentStatus, Managed, ProcessScan, Tenants } from '../index.ts'
import { formatPortRange, type PortRange } from '../net/portranges.ts'
import { escapeControls, printable } from '../text/printable.ts'
import { formatBytes } from '../text/units.ts'
import { CONFIG_DEFAULT } from './arguments.ts'
import { EXIT_HELP, failConfigured } from './exit.ts'
import { libvirtRows } from './libvirttext.ts'
import { alignColumns } from './table.ts'

/** Sockets and guests listed by name; of the rest only the number is shown. */
const GUESTS_SHOWN_MAX = 20
/** How long to wait for a running agent's answer. */
const ANSWER_MS_MAX = 2_000
const MANAGED: Record<Managed, string> = {
  libvirt: 'those of libvirt, which moves them', proxmox: 'those of Proxmox, which moves them',
  any: 'every QEMU of this host; whoever started one moves it',
}

export function addCheck(program: Command): void {
  program.command('check')
    .summary('validate a configuration')
    .description('Validates a configuration and says what the agent would do, as far as it can be known.')
    .option('--config <file>', 'configuration, YAML', CONFIG_DEFAULT)
    .addHelpText('after', `
Examples:
  pagemesh check
  pagemesh check --config agent.new.yaml

${EXIT_HELP}`)
    .action(check)
}

async function check(flags: { config: string }): Promise<void> {
  try {
    const { findSockets, readUsableConfig } = await import('../daemon/index.ts')
    const { judgeAddresses, lookUpNames } = await import('../daemon/doctor/index.ts')
    const { defaultLane, scanQemus, whyNoInterception } = await import('../index.ts')
    const { config, kernel } = await readUsableConfig(flags.config)
    const sockets = printable(await findSockets(config.agentOptions.guests ?? []))
    const { managed = 'off' } = config.agentOptions
    const scan = managed === 'off' ? undefined : await scanQemus(managed)
    const ports = config.agentOptions.intercept?.ports ?? []
    const isAsked = managed === 'libvirt' || managed === 'any'
    const status = isAsked || ports.length > 0 ? await askStatus(config.control) : undefined
    // An agent that intercepts has the table, so that it cannot be tried.
    const isOn = status?.intercept.active === true
    const whyNot = ports.length === 0 || isOn ? undefined : status?.intercept.why ?? await whyNoInterception(ports)
    const members = isAsked ? printable((status?.peers ?? []).map(({ host }) => host)) : undefined
    const names = await lookUpNames(config)
    const warnings = judgeAddresses(config.agentOptions, names)
      .filter(({ verdict }) => verdict !== 'ok').map(({ found, advice }) => `${found} ${advice}`)
    const lane = config.agentOptions.lane ?? defaultLane(config.agentOptions.listen ?? [])
    const found = { lane, kernel, sockets, scan, whyNot, members, names, warnings }
    process.stdout.write(`${describeConfig(flags.config, config, found)}\n`)
  } catch (error) {
    failConfigured(error)
  }
}

/** What an agent with this configuration would do. Pure. */
function describeConfig(
  file: string,
  { agentOptions, control, http }: Config,
  { lane, kernel, sockets, scan, whyNot, members, names, warnings }: {
    lane: string
    kernel: AgentStatus['kernel']
    sockets: readonly string[]
    scan: ProcessScan | undefined
    /** Why connections cannot be intercepted. */
    whyNot: string | undefined
    /** Names of the other hosts; undefined if they were not asked for. */
    members: readonly string[] | undefined
    /** The host names in its addresses, with the addresses that they have here. */
    names: readonly { name: string; addresses: readonly string[] }[]
    /** What would not work as it is. */
    warnings: readonly string[]
  },
): string {
  const {
    name, clusterKey, listen, announce, bootstrap, guests, managed, census, store, accept, tenants, intercept, tunnel,
  } = agentOptions
  const rows = [
    ['host', name],
    ['cluster key', `${String(clusterKey)} (readable)`],
    ['mesh listens on', listOf(listen)],
    ['lane for bulk pages', lane],
    ['others are told', announce === undefined ? 'the same' : listOf(announce)],
    ['dials first', listOf(bootstrap)],
    ...(names.length === 0 ? [] : [['where the names lead', listOf(names.map(describeName))]]),
    ['guests at', listOf(guests)],
    ['sockets there now', listSome(sockets)],
    ['managed guests', scan === undefined ? 'off' : MANAGED[managed as Managed]],
    ...(scan === undefined ? [] : describeScan(scan)),
    ['takes guests from', describeAccept(accept)],
    ['tenants', describeTenants(tenants)],
    ['intercepts', describeIntercept(intercept?.ports ?? [], whyNot)],
    ['members may have dialled', listOf(tunnel?.to)],
    ...(members === undefined ? [] : describeLibvirt(members)),
    ['control socket', control],
    ['metrics and status page', http === undefined ? 'off' : `http://${http}/`],
    ['state kept in', store?.path ?? '-'],
    ['census', `${census?.pagesPerSecond} pages/s, every ${census?.intervalSeconds} s, ` +
      `up to ${formatBytes(census?.maxBytes ?? 0)} of memory`],
    ['pages are hashed by', describeKernel(kernel)],
  ]
  const warned = warnings.map((warning) => `\nWarning: ${printable(warning)}`).join('')
  return `${file} is valid. The agent would run with:\n${alignColumns(rows, '  ')}${warned}`
}

/** The managed guests found now, and those of them that share nothing. Pure. */
function describeScan({ qemus, hidden, seesOthers }: ProcessScan): string[][] {
  const nameOf = ({ pid, said }: ProcessScan['qemus'][number]): string => `${printable(said.name ?? '?')} (pid ${pid})`
  const apart = qemus.filter(({ said }) => said.isPrivate)
  return [
    ['QEMUs there now', listSome(qemus.map(nameOf))],
    ...(apart.length === 0 ? [] : [['which share nothing', `${listSome(apart.map(nameOf))}: mem-merge=off`]]),
    ...(hidden.length === 0 ? [] : [['QEMUs that this user may not see', `${hidden.length}. ${RIGHTS_ADVICE}`]]),
    ...(seesOthers ? [] : [['other processes', `hidden from this user. ${RIGHTS_ADVICE}`]]),
  ]
}

function describeKernel(kernel: AgentStatus['kernel']): string {
  if (kernel === 'package') return 'the npm package, which is slower: the kernel is off or was not compiled'
  return `the kernel, ${kernel}`
}

/** Which connections of managers would pass through the agent, if it has this user's rights. Pure. */
function describeIntercept(ports: readonly PortRange[], whyNot: string | undefined): string {
  if (ports.length === 0) return 'nothing'
  const what = `connections to ports ${ports.map(formatPortRange).join(', ')} of members`
  return whyNot === undefined ? what : `${what}: not possible now (${escapeControls(whyNot)})`
}

/** How libvirt's migrations to each member pass through the agents. Pure. */
function describeLibvirt(members: readonly string[]): string[][] {
  if (members.length > 0) return libvirtRows(members)
  return [['libvirt by a tunnel', 'once the agent runs, `pagemesh check` shows the commands for each member']]
}

/** Which hosts may hand over which guests. Pure. */
function describeAccept(rules: readonly AcceptRule[] | undefined): string {
  if (rules === undefined) return 'every member, any guest (`accept` is not set)'
  if (rules.length === 0) return 'nobody'
  return rules.map(({ guest, from }) => `${guest} from ${listOf(from)}`).join('; ')
}

function describeName({ name, addresses }: { name: string; addresses: readonly string[] }): string {
  return addresses.length === 0 ? `${name} is not known here (see DNS and /etc/hosts)`
    : `${name} is ${addresses.join(' and ')}`
}

/** Which guests share pages with each other. Pure. */
function describeTenants(tenants: Tenants = { default: 'shared' }): string {
  if (!Array.isArray(tenants)) return `all guests are of ${tenants.default}`
  return [...tenants.map(({ guests, tenant }) => `${printable(guests)} of ${tenant}`), 'others of shared'].join('; ')
}

/** What the running agent says of itself; undefined if no agent answers. */
async function askStatus(control: string): Promise<AgentStatus | undefined> {
  try {
    return await askAgent<AgentStatus>({ path: control, request: { command: 'status' }, answerMsMax: ANSWER_MS_MAX })
  } catch {
    // The agent need not run yet, and this user may not be allowed to talk to it.
    return undefined
  }
}

function listSome(texts: readonly string[]): string {
  const more = texts.length - GUESTS_SHOWN_MAX
  return listOf([...texts.slice(0, GUESTS_SHOWN_MAX), ...(more > 0 ? [`and ${more} more`] : [])])
}

function listOf(texts: readonly string[] | undefined): string {
  return texts === undefined || texts.length === 0 ? 'none' : texts.join(', ')
}
