import { createHash } from 'node:crypto'

/** Network of the tunnels' loopback addresses; other parts of it have other uses. */
const SLOT_NETWORK = '127.64'
const SLOT_PORT = 20_500
/** Address where the destination QEMU listens: only its own host can reach it. */
const LISTEN_HOST = '127.64.0.9'

/**
 * A loopback address of this host for each other host, where the tunnel to it listens. It depends on the name alone,
 * unless two names would get the same address. Pure.
 */
export function tunnelHosts(members: readonly string[]): Map<string, string> {
  const hosts = new Map<string, string>()
  const taken = new Set<string>()
  for (const member of [...new Set(members)].sort()) {
    const digest = createHash('sha256').update(member).digest()
    let number = digest.readUInt16BE(0)
    let host = hostOf(number)
    while (taken.has(host)) host = hostOf(++number)
    taken.add(host)
    hosts.set(member, host)
  }
  return hosts
}

/** The commands with which libvirt's migrations to each member pass through the agents, as rows of a table. Pure. */
export function libvirtRows(members: readonly string[]): string[][] {
  return [...tunnelHosts(members)].flatMap(([member, host]) => [
    [`libvirt to ${member}`, `pagemesh tunnel --to ${member} --path ${host}:${SLOT_PORT} ` +
      `--remote-path ${LISTEN_HOST}:${SLOT_PORT}`],
    ['', `virsh migrate --live GUEST URI --migrateuri tcp://${host}:${SLOT_PORT} --listen-address ${LISTEN_HOST}`],
  ])
}

/** 1 to 254 in both octets: these addresses have no other use. */
function hostOf(number: number): string {
  return `${SLOT_NETWORK}.${1 + (number >>> 8) % 254}.${1 + (number & 0xff) % 254}`
}
