/**
 * Which of this host's addresses others should try first. A host that listens on all of them may have a dozen, and most
 * lead nowhere from elsewhere: the bridges of containers have the same addresses on each host.
 */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

import { parseTcpMultiaddr } from './hostport.ts'

export interface InterfaceAddress {
  name: string
  address: string
}

/** Interfaces that programs make for what runs on this host alone. */
const INNER = /^(docker|br-[0-9a-f]{12}$|virbr|cni|podman|lxc|lxd|veth|flannel|cali|kube|nerdctl|tap|vnet|fwbr|fwpr)/

/**
 * The multiaddrs in the order in which others should try them: of interfaces with a default route, of others, of
 * bridges of containers; otherwise as they were. Pure.
 */
export function orderAddresses(
  multiaddrs: readonly string[], interfaces: readonly InterfaceAddress[], routed: ReadonlySet<string>,
): string[] {
  const rankOf = (multiaddr: string): number => {
    const host = parseTcpMultiaddr(multiaddr)?.host
    const name = interfaces.find(({ address }) => address === host)?.name ?? ''
    if (routed.has(name)) return 0
    return INNER.test(name) ? 2 : 1
  }
  return multiaddrs.map((multiaddr) => ({ multiaddr, rank: rankOf(multiaddr) }))
    .sort((one, other) => one.rank - other.rank).map(({ multiaddr }) => multiaddr)
}

/** The interfaces with a default route, from /proc/net/route and /proc/net/ipv6_route. Pure. */
export function parseRouted(four: string, six: string): Set<string> {
  const byFour = four.split('\n').slice(1).map((line) => line.split('\t'))
    .filter(([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000')
    .map(([name = '']) => name)
  const bySix = six.split('\n').map((line) => line.trim().split(/\s+/))
    .filter(([destination, bits]) => /^0{32}$/.test(destination ?? '') && bits === '00').map((fields) => fields.at(-1)!)
  return new Set([...byFour, ...bySix].filter((name) => name !== '' && name !== 'lo'))
}

/** As `orderAddresses`, by this host's interfaces and routes. */
export function orderOwnAddresses(multiaddrs: readonly string[]): string[] {
  const interfaces = Object.entries(networkInterfaces())
    .flatMap(([name, addresses = []]) => addresses.map(({ address }) => ({ name, address })))
  const [four = '', six = ''] = ['/proc/net/route', '/proc/net/ipv6_route'].map(readOrNothing)
  return orderAddresses(multiaddrs, interfaces, parseRouted(four, six))
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Without routes, or without IPv6, there is no such file.
    return ''
  }
}
