import { isIPv4, isIPv6 } from 'node:net'

const PORT_MAX = 65_535
const HOST_LABELS = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/

/** Parses `host:port`, IPv6 as `[host]:port`; undefined if it is none. Pure: names are not resolved. */
export function parseHostPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > PORT_MAX) return undefined
  const [, bracketed, plain] = match
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined
}

/** Whether `text` is a TCP multiaddr such as `/ip4/10.0.0.2/tcp/4001`, with or without `/p2p/PEER` at its end. */
export function isTcpMultiaddr(text: string): boolean {
  const match = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/p2p\/[A-Za-z0-9]+)?$/.exec(text)
  if (match === null || Number(match[3]) > PORT_MAX) return false
  const [, family, host = ''] = match
  if (family === 'ip4') return isIPv4(host)
  if (family === 'ip6') return isIPv6(host)
  return HOST_LABELS.test(host)
}

/** What looks like an IPv4 address must be one: 10.0.0.300 is nobody's name. */
function isHost(text: string): boolean {
  return /^[\d.]+$/.test(text) ? isIPv4(text) : HOST_LABELS.test(text)
}
