import { isIP, SocketAddress } from 'node:net'

import { formatHostPort, parseHostPort } from '../net/hostport.ts'

/** Where a migration's connections go at the destination, or come from at the source. */
export type RelayAddress = { kind: 'unix'; path: string } | { kind: 'tcp'; host: string; port: number }

/** The kernel's limit on a socket's path, without the terminating zero. */
const PATH_BYTES_MAX = 107

/**
 * A socket's absolute path, or `host:port` with the host as an IP address: names may resolve differently on two hosts.
 * Undefined for anything else. Each address has one form, so that equal texts mean equal addresses.
 */
export function parseRelayAddress(text: string): RelayAddress | undefined {
  if (text.startsWith('/')) return isPlainPath(text) ? { kind: 'unix', path: text } : undefined
  const { host = '', port = 0 } = parseHostPort(text) ?? {}
  const plain = plainHost(host)
  return plain === undefined || port === 0 ? undefined : { kind: 'tcp', host: plain, port }
}

export function formatRelayAddress(address: RelayAddress): string {
  return address.kind === 'unix' ? address.path : formatHostPort(address)
}

/** An IP address in its one form; undefined for anything else, IPv4-mapped IPv6 included. */
export function plainHost(host: string): string | undefined {
  const version = isIP(host)
  if (version === 4) return host
  if (version === 0 || host.includes('%')) return undefined
  const { address } = new SocketAddress({ address: host, family: 'ipv6' })
  return address.startsWith('::ffff:') ? undefined : address
}

/** A path without empty, `.` or `..` parts. */
function isPlainPath(path: string): boolean {
  if (Buffer.byteLength(path) > PATH_BYTES_MAX || path.includes('\0')) return false
  return path.slice(1).split('/').every((name) => name !== '' && name !== '.' && name !== '..')
}
