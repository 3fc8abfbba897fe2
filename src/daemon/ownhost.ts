import { isIP, isIPv4 } from 'node:net'

import { isUnspecifiedHost, parseHostPort } from '../net/hostport.ts'

/**
 * Whether the `Host` header of a request names this host. This stops DNS rebinding: a browser whose web page's name
 * resolves to this host sends that page's name. Pure.
 *
 * @param header the client's header: a host, with or without a port.
 * @param init.listenHost the host of the configured address.
 * @param init.names other names of this host, for listeners that others can reach.
 */
export function isOwnHost(header: string, { listenHost, names }: { listenHost: string; names: string[] }): boolean {
  const host = hostIn(header)
  if (host === undefined) return false
  const isSame = (name: string): boolean => plain(name) === host
  if (isSame(listenHost) || isLoopback(host)) return true
  if (isLoopback(plain(listenHost))) return false
  // Any IP address is fine: DNS rebinding needs a name.
  return names.some(isSame) || (isUnspecifiedHost(listenHost) && isIP(host) !== 0)
}

function hostIn(header: string): string | undefined {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(header)?.[1]
  // A trailing dot stands for the DNS root and changes nothing.
  const dotless = header.replace(/\.(?=(:\d+)?$)/, '')
  const parsed = bracketed ?? parseHostPort(dotless.includes(':') ? dotless : `${dotless}:80`)?.host
  return parsed === undefined ? undefined : plain(parsed)
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' ||
    (isIPv4(host) && host.startsWith('127.'))
}

function plain(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}
