import { SocketAddress } from 'node:net'

/** A connection in /proc/net/tcp or /proc/net/tcp6, as one of its two ends sees it. */
export interface TcpConnection {
  inode: string
  /** `address:port`, an IPv4 address also where IPv6 carries it. */
  local: string
  remote: string
}

const LINE =
  /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+) /gm
const ESTABLISHED = '01'

/** Reads /proc/net/tcp and /proc/net/tcp6: connections that stand. Pure. */
export function parseTcpConnections(text: string): TcpConnection[] {
  return [...text.matchAll(LINE)].flatMap(([, local, localPort, remote, remotePort, state, inode]) =>
    state === ESTABLISHED && inode !== '0' ? [{
      inode: inode!,
      local: endOf(addressOf(local!), Number.parseInt(localPort!, 16)),
      remote: endOf(addressOf(remote!), Number.parseInt(remotePort!, 16)),
    }] : [])
}

/** One way to write an address and a port, whatever the zone and however the address is written. */
export function endOf(address: string, port: number): string {
  const plain = address.replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/i, '')
  const family = plain.includes(':') ? 'ipv6' : 'ipv4'
  return `${new SocketAddress({ address: plain, family, port }).address}:${port}`
}

/**
 * Whose the other end of a connection is, that we see as `local` and `remote`: the sockets whose own address is our
 * remote one. Another address may be in place of ours where the kernel led it elsewhere; one that says ours is better.
 */
export function otherEnds(connections: readonly TcpConnection[], { local, remote }: Omit<TcpConnection, 'inode'>) {
  const ends = connections.filter((connection) => connection.local === remote)
  const exact = ends.filter((connection) => connection.remote === local)
  return (exact.length > 0 ? exact : ends).map(({ inode }) => inode)
}

/** The kernel writes each four bytes of an address as one number, the lowest first on most machines. */
function addressOf(hex: string): string {
  const bytes = hex.match(/.{8}/g)!.flatMap((word) => word.match(/../g)!.reverse())
    .map((byte) => Number.parseInt(byte, 16))
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) {
    return bytes.slice(12).join('.')
  }
  return Buffer.from(bytes).toString('hex').match(/.{4}/g)!.join(':')
}
