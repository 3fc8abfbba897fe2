import { matchesGlob } from 'node:path'

import { isOneHosts } from '../net/addresses.ts'
import { parseRelayAddress, plainHost, type RelayAddress } from './address.ts'

/** What a member may have this host dial: sockets by a glob of their paths, or ports of addresses. */
export type DialRule =
  | { kind: 'unix'; glob: string }
  | { kind: 'tcp'; host: string; first: number; last: number }
  /** At any of the host's own addresses. */
  | { kind: 'own'; first: number; last: number }

/** The loopback addresses that managers' tunnels listen at: the one network that a rule may name. */
const LOOPBACK_SLOTS = /^127\.64\.\d{1,3}\.\d{1,3}$/
const SLOTS = '127.64.0.0/16'
const PORT_MAX = 65_535

/** This host's addresses, and its agent's own ports and sockets, which nobody may dial through it. */
export interface OwnAddresses {
  /** Addresses of its network interfaces. */
  hosts: ReadonlySet<string>
  /** Ports that its agent listens on, at any address. */
  ports: ReadonlySet<number>
  /** Sockets that its agent listens on, and directories of its own sockets. */
  paths: readonly string[]
}

/** Reads `/run/vms/*.sock`, `10.0.0.2:8102` or `[fd00::2]:49152-49215`; undefined for anything else. Pure. */
export function parseDialRule(text: string): DialRule | undefined {
  if (text.startsWith('/')) return parseRelayAddress(text) === undefined ? undefined : { kind: 'unix', glob: text }
  const [, bracketed, plain, from, to] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? []
  const host = plain === SLOTS ? SLOTS : plainHost(bracketed ?? plain ?? '')
  const [first, last] = [Number(from), Number(to ?? from)]
  const isRange = first >= 1 && first <= last && last <= PORT_MAX
  return host === undefined || !isRange ? undefined : { kind: 'tcp', host, first, last }
}

/** Whether a member may have this host dial `address`. Pure. */
export function mayDial(
  address: RelayAddress, { rules, own }: { rules: readonly DialRule[]; own: OwnAddresses },
): boolean {
  if (address.kind === 'unix') {
    const { path } = address
    const isOwn = own.paths.some((place) => path === place || path.startsWith(`${place}/`))
    return !isOwn && rules.some((rule) => rule.kind === 'unix' && matchesGlob(path, rule.glob))
  }
  const { host, port } = address
  if (own.ports.has(port)) return false
  return rules.some((rule) => {
    if (rule.kind === 'unix' || port < rule.first || port > rule.last) return false
    // A service that listens only on loopback is not meant for other hosts.
    if (rule.kind === 'own') return own.hosts.has(host) && isOneHosts(host)
    return rule.host === SLOTS ? LOOPBACK_SLOTS.test(host) : rule.host === host
  })
}
