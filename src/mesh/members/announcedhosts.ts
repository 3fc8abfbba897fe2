import { isUnspecifiedHost, parseHostPort, parseTcpMultiaddr, type HostPort } from '../../net/hostport.ts'
import type { Announcement } from './announcement.ts'

/** Peers whose addresses are remembered. The one announced longest ago is dropped first; it announces itself again. */
const PEERS_MAX = 1_024

/** Addresses that peers announced for themselves: hosts and ports, by peer id. Newer ones replace older ones. */
export class AnnouncedHosts {
  readonly #addresses = new Map<string, HostPort[]>()

  note({ peerId, addresses, lane }: Announcement): void {
    const parsed = [...addresses.map(parseTcpMultiaddr), lane === undefined ? undefined : parseHostPort(lane)]
    this.#addresses.delete(peerId)
    this.#addresses.set(peerId, parsed.flatMap((address) => address ?? []))
    const [oldest] = this.#addresses.keys()
    if (this.#addresses.size > PEERS_MAX && oldest !== undefined) this.#addresses.delete(oldest)
  }

  of(peerId: string): readonly string[] {
    return (this.#addresses.get(peerId) ?? []).map(({ host }) => host).filter((host) => !isUnspecifiedHost(host))
  }

  portsOf(peerId: string): readonly number[] {
    return (this.#addresses.get(peerId) ?? []).map(({ port }) => port)
  }
}
