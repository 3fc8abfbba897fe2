import { parseTcpMultiaddr } from '../net/hostport.ts'
import { isPortIn, type PortRange } from '../net/portranges.ts'
import { isOneHosts, plainAddress } from '../net/addresses.ts'

/** A member, and where it was met. */
export interface MetMember {
  name: string
  /** The multiaddr that it is connected over. A member cannot choose it: this host dialed it, or saw it come. */
  address: string
  /** Ports that its agent says it listens at. */
  agentPorts: readonly number[]
}

/** Members whose addresses are intercepted at most; the others go direct. */
export const MEMBERS_MAX = 1024

/**
 * The members whose addresses are intercepted: their names by address. Left out is where it is not sure whose an
 * address is: two members at one, this host's own, and what means another host elsewhere. So is a member whose agent
 * listens at such a port: this agent's own connections would be taken for a manager's. Pure.
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
