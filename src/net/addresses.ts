import { isIP, isIPv4, SocketAddress } from 'node:net'

/** The one form of an IP address, IPv4-mapped IPv6 as IPv4; undefined if the text is none, or has a zone. Pure. */
export function plainAddress(text: string): string | undefined {
  const mapped = text.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '')
  const version = isIP(mapped)
  if (version === 0 || mapped.includes('%')) return undefined
  return new SocketAddress({ address: mapped, family: version === 4 ? 'ipv4' : 'ipv6' }).address
}

/** Whether an address, in its one form, means the same host wherever it is used. */
export function isOneHosts(address: string): boolean {
  return isIPv4(address)
    ? !/^(0|127|22[4-9]|2[3-5]\d)\.|^169\.254\./.test(address)
    : !/^(::1?$|::ffff:|fe[89ab]|ff)/.test(address)
}
