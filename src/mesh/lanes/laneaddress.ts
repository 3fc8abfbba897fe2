import { isOneHosts } from '../../net/addresses.ts'
import {
  formatHostPort, isUnspecifiedHost, parseHostPort, parseTcpMultiaddr, type HostPort,
} from '../../net/hostport.ts'
import { PagemeshError } from '../../runtime/errors.ts'

/** Parses a lane's `host:port`. Throws PagemeshError `address-malformed`. */
export function parseLaneAddress(address: string): HostPort {
  const parsed = parseHostPort(address)
  if (parsed !== undefined) return parsed
  throw new PagemeshError('address-malformed', `${JSON.stringify(address)} is not a host and port.`, {
    fault: 'usage', data: { address }, advice: 'Write it as 10.0.0.1:4002, or as [fd00::1]:4002.',
  })
}

/**
 * The host of the first listen address that others can reach, or else of the first, and the next port; a free port if
 * that one is free to choose.
 */
export function defaultLane(listen: readonly string[]): string {
  const addresses = listen.flatMap((address) => parseTcpMultiaddr(address) ?? [])
  const first = addresses.find(({ host }) => !/^(127\.|::1$|localhost$)/.test(host)) ?? addresses[0]
  if (first === undefined) return '0.0.0.0:0'
  return formatHostPort({ host: first.host, port: first.port === 0 ? 0 : first.port + 1 })
}

/**
 * Where others are told to dial lanes that are listened for at `address`: at the first announced host. The port is the
 * one that the operator chose for lanes, or else the one after the announced port.
 */
export function announcedLane(address: string, announce: readonly string[], isChosen: boolean): string {
  const first = announce.map(parseTcpMultiaddr).find((announced) => announced !== undefined)
  if (first === undefined) return address
  const port = isChosen || first.port === 0 ? parseLaneAddress(address).port : first.port + 1
  return formatHostPort({ host: first.host, port })
}

/** A lane's address as other hosts can dial it: an unspecified host is replaced by one of the mesh's addresses. */
export function dialableLane(address: string, meshAddresses: readonly string[]): string {
  const { host, port } = parseLaneAddress(address)
  if (!isUnspecifiedHost(host)) return address
  const hosts = meshAddresses.map((mesh) => parseTcpMultiaddr(mesh)?.host ?? '').filter((mesh) => mesh !== '')
  return formatHostPort({ host: hosts.find(isOneHosts) ?? hosts[0] ?? host, port })
}
