import { isIPv4, isIPv6 } from 'node:net'

import type { Member, Mesh } from '../mesh/index.ts'
import { parseTcpMultiaddr, type HostPort } from '../net/hostport.ts'

/**
 * Where a member can be reached: the multiaddr that it announced for the host at which it is connected, or else its
 * first. A connection that it made itself comes from a port at which nobody listens; that is told only until it has
 * announced itself.
 */
export function addressOf(mesh: Pick<Mesh, 'announcedBy'>, { peerId, address }: Member): string {
  const announced = mesh.announcedBy(peerId)
  const connected = parseTcpMultiaddr(address)?.host
  const chosen = announced.find(({ host }) => host === connected) ?? announced[0]
  return chosen === undefined ? address : formatTcpMultiaddr(chosen)
}

function formatTcpMultiaddr({ host, port }: HostPort): string {
  const family = isIPv4(host) ? 'ip4' : isIPv6(host) ? 'ip6' : 'dns'
  return `/${family}/${host}/tcp/${port}`
}
