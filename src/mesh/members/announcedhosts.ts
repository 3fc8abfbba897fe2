import { isUnspecifiedHost, parseHostPort, parseTcpMultiaddr, type HostPort } from '../../net/hostport.ts'
import type { Announcement } from './announcement.ts'

/** Peers whose addresses are remembered. The one announced longest ago is dropped first; it announces itself again. */
const PEERS_MAX = 1_024

/** Addresses that peers announced for themselves: hosts and ports, by peer id. Newer ones replace older ones. */
export class AnnouncedHosts {
  readonly #addresses = new Map<string, { mesh: HostPort[]; lanes: HostPort[] }>()

  note({ peerId, addresses, lane }: Announcement): void {
    const mesh = addresses.flatMap((address) => parseTcpMultiaddr(address) ?? [])
    const lanes = lane === undefined ? [] : [parseHostPort(lane)].flatMap((address) => address ?? [])
    this.#addresses.delete(peerId)
    this.#addresses.set(peerId, { mesh, lanes })
    const [oldest] = this.#addresses.keys()
    if (this.#addresses.size > PEERS_MAX && oldest !== undefined) this.#addresses.delete(oldest)
  }

  of(peerId: string): readonly string[] {
    return this.#all(peerId).map(({ host }) => host).filter((host) => !isUnspecifiedHost(host))
  }

  portsOf(peerId: string): readonly number[] {
    return this.#all(peerId).map(({ port }) => port)
  }

  /** Where its mesh is met, apart from lanes. */
  meshOf(peerId: string): readonly HostPort[] {
    return (this.#addresses.get(peerId)?.mesh ?? []).filter(({ host }) => !isUnspecifiedHost(host))
  }

  #all(peerId: string): readonly HostPort[] {
    const { mesh = [], lanes = [] } = this.#addresses.get(peerId) ?? {}
    return [...mesh, ...lanes]
  }
}
