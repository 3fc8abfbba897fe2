import { isUnspecifiedHost, parseHostPort, parseTcpMultiaddr } from '../runtime/hostport.ts'
import type { Announcement } from './announcement.ts'

/** Peers whose addresses are remembered; who announced itself longest ago goes first, and announces itself again. */
const PEERS_MAX = 1_024

/** Where peers say that they are: hosts, by peer id. A peer speaks for itself alone, and newer news replaces older. */
export class AnnouncedHosts {
  readonly #hosts = new Map<string, string[]>()

  note({ peerId, addresses, lane }: Announcement): void {
    const parsed = [...addresses.map(parseTcpMultiaddr), lane === undefined ? undefined : parseHostPort(lane)]
    this.#hosts.delete(peerId)
    this.#hosts.set(peerId, parsed.flatMap((address) =>
      (address === undefined || isUnspecifiedHost(address.host) ? [] : [address.host])))
    const [oldest] = this.#hosts.keys()
    if (this.#hosts.size > PEERS_MAX && oldest !== undefined) this.#hosts.delete(oldest)
  }

  of(peerId: string): readonly string[] {
    return this.#hosts.get(peerId) ?? []
  }
}
