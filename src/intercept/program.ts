/**
 * Input for nft, one transaction a line, and parsing of its output. Pure.
 *
 *   table inet pagemesh            redirects connections; owned by the nft process that made it, removed with it
 *   table inet pagemesh_keep       without owner: one rule without effect, while intercepted connections are open
 *
 * There is one listener for each address family, for all members and ports: the kernel tells the original destination
 * (SO_ORIGINAL_DST). One listener for each member and port would take thousands of them, and IPv6 has only one address
 * that no other host can reach.
 *
 * Without the second table the kernel would reset open connections when the first one is removed: it drops NAT and
 * connection tracking with the last rule that needs them. A chain without a rule does not count.
 */
import { isIPv4, isIPv6 } from 'node:net'

import { plainAddress } from '../net/addresses.ts'
import { formatHostPort, type HostPort } from '../net/hostport.ts'
import { formatPortRange, type PortRange } from '../net/portranges.ts'
import { DIRECT_PORTS } from './ports.ts'

const TABLE = 'inet pagemesh'
const KEEP = 'inet pagemesh_keep'

/** Wanted content of the tables. */
export interface TableContent {
  /** Addresses of members, in canonical form. */
  addresses: readonly string[]
  /** Whether open connections must outlive the table. */
  keep: boolean
}

/** Lists the table, for `readTable`. */
export const LIST_TABLE = `list table ${TABLE}`

/** Creates the table without members. */
export function createTable(init: { ports: readonly PortRange[]; listeners: readonly HostPort[] }): string {
  const meant = init.ports.map(formatPortRange).join(', ')
  const ports = `tcp sport != ${formatPortRange(DIRECT_PORTS)} tcp dport { ${meant} }`
  const rules = init.listeners.map((listener) => (isIPv4(listener.host)
    ? `ip daddr @four ${ports} dnat ip to ${formatHostPort(listener)};`
    : `ip6 daddr @six ${ports} dnat ip6 to ${formatHostPort(listener)};`))
  return `table ${TABLE} { flags owner; set four { type ipv4_addr; }; set six { type ipv6_addr; }; ` +
    `chain out { type nat hook output priority -100; ${rules.join(' ')} }; }`
}

/** Sets the tables' content to `content`. */
export function fillTables({ addresses, keep }: TableContent): string {
  const sets = [['four', addresses.filter(isIPv4)], ['six', addresses.filter(isIPv6)]] as const
  return [
    ...sets.map(([set]) => `flush set ${TABLE} ${set}`),
    ...sets.flatMap(([set, members]) =>
      (members.length === 0 ? [] : [`add element ${TABLE} ${set} { ${members.join(', ')} }`])),
    ...keep ? keepRule() : [`table ${KEEP}`, `delete table ${KEEP}`],
  ].join('; ')
}

/** Replaces the rule in one transaction, so that there is always exactly one. */
function keepRule(): string[] {
  return [
    `table ${KEEP} { chain out { type nat hook output priority 100; }; }`,
    `flush chain ${KEEP} out`,
    `add rule ${KEEP} out ct state new counter`,
  ]
}

/** The addresses in nft's listing of the table, sorted; undefined until `text` is complete. */
export function readTable(text: string): string[] | undefined {
  // Looked for once: a pattern that begins anew at each place takes the square of the length.
  const begin = /^table inet pagemesh \{/m.exec(text)
  if (begin === null) return undefined
  const [listed = '', ...others] = text.slice(begin.index).split(/^\}$/m, 2)
  if (others.length === 0) return undefined
  const elements = listed.split('elements = {').slice(1).flatMap((list) => list.split('}', 1)[0]!.split(','))
  return elements.flatMap((element) => plainAddress(element.trim()) ?? []).sort()
}

/** nft's error as a sentence for an operator. */
export function explainNft(said: string): string {
  const error = /Error: (.*)/.exec(said)?.[1] ?? said.trim().split('\n')[0] ?? ''
  if (/must be root|initialization failed: Operation not permitted/.test(said)) {
    return 'the agent lacks CAP_NET_ADMIN (see Deploying in the daemon\'s README)'
  }
  if (/not permitted/.test(error)) return 'another agent of this host has its table already'
  if (/syntax error/.test(error)) return `this nft is too old: 0.9.9 or later is needed (${error})`
  if (/not supported|No such file|Invalid argument/.test(error)) {
    return `the kernel cannot do it: Linux 5.12 or later with nf_tables and nat is needed (${error})`
  }
  return `nft: ${error === '' ? 'no reason given' : error}`
}
