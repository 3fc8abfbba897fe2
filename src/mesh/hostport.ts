import { PagemeshError } from '../runtime/errors.ts'

export interface HostPort {
  host: string
  port: number
}

/** Parses `host:port` or `[host]:port`. Throws PagemeshError `address-malformed`. */
export function parseHostPort(address: string): HostPort {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(address)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host !== undefined && port <= 65_535) return { host, port }
  throw new PagemeshError('address-malformed', `${JSON.stringify(address)} is no host and port.`, {
    fault: 'usage', data: { address }, advice: 'Write it as 10.0.0.1:4002, or as [fd00::1]:4002.',
  })
}

export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether the host means "every address of this machine", which nobody else can dial. */
export function isUnspecifiedHost(host: string): boolean {
  return host === '0.0.0.0' || /^[0:]+$/.test(host)
}

/** The IP address or DNS name at the start of a multiaddr such as `/ip4/10.0.0.2/tcp/4001`, and its TCP port. */
export function hostPortOfMultiaddr(address: string): HostPort | undefined {
  const match = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/|$)/.exec(address)
  return match === null ? undefined : { host: match[1]!, port: Number(match[2]) }
}
