import { isOneHosts, plainAddress } from '../net/addresses.ts'
import { parseTcpMultiaddr } from '../net/hostport.ts'
import { isPortIn, type PortRange } from '../net/portranges.ts'

/** A member, and the address of its connection. */
export interface MetMember {
  name: string
  /** The multiaddr of its connection. The member cannot choose it: this host dialled it or accepted from it. */
  address: string
  /** Ports that its agent claims to listen on. */
  agentPorts: readonly number[]
}

/** Most members whose addresses are intercepted; connections to others go direct. */
export const MEMBERS_MAX = 1024

/**
 * The members whose addresses are intercepted: names by address. Leaves out ambiguous addresses: those of two members,
 * this host's own, and those that mean another host on each machine, such as loopback. Leaves out members whose agent
 * listens on an intercepted port: this agent's own connections would be taken for a manager's. Pure.
 */
export function chooseMembers(
  members: readonly MetMember[],
  { ownAddresses, ports }: { ownAddresses: readonly string[]; ports: readonly PortRange[] },
): Map<string, string> {
  const own = new Set(ownAddresses.map(plainAddress))
  const found = new Map<string, MetMember[]>()
  for (const member of members) {
    const host = plainAddress(parseTcpMultiaddr(member.address)?.host ?? '')
    if (host !== undefined && isOneHosts(host) && !own.has(host)) found.set(host, [...found.get(host) ?? [], member])
  }
  const sure = [...found].flatMap(([host, [member, ...others]]) =>
    (member === undefined || others.length > 0 || member.agentPorts.some((port) => isPortIn(ports, port))
      ? [] : [[host, member.name] as const]))
  return new Map(sure.slice(0, MEMBERS_MAX))
}
