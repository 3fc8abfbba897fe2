import { isIPv4, isIPv6 } from 'node:net'

export interface HostPort {
  host: string
  port: number
}

const PORT_MAX = 65_535
const HOST_LABELS = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/

/** Parses `host:port`, IPv6 as `[host]:port`; undefined for anything else. Pure: names are not resolved. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > PORT_MAX) return undefined
  const [, bracketed, plain] = match
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Host and port of a TCP multiaddr such as `/ip4/10.0.0.2/tcp/4001`, with or without a final `/p2p/PEER`; undefined for
 * anything else.
 */
export function parseTcpMultiaddr(text: string): HostPort | undefined {
  const match = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/p2p\/[A-Za-z0-9]+)?$/.exec(text)
  if (match === null || Number(match[3]) > PORT_MAX) return undefined
  const [, family, host = ''] = match
  const isValid = family === 'ip4' ? isIPv4(host) : family === 'ip6' ? isIPv6(host) : HOST_LABELS.test(host)
  return isValid ? { host, port: Number(match[3]) } : undefined
}

/** Whether the host means "every address of this machine", which nobody else can dial. */
export function isUnspecifiedHost(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]+$/.test(host)
}

/** Text that looks like an IPv4 address must be one: 10.0.0.300 is no host name. */
function isHost(text: string): boolean {
  return /^[\d.]+$/.test(text) ? isIPv4(text) : HOST_LABELS.test(text)
}
