import { isIP } from 'node:net'

import { parseTcpMultiaddr } from '../../net/hostport.ts'
import { addressKey } from './admission.ts'

/** Addresses remembered; the one not met for longest is dropped first. */
const HOSTS_MAX = 2_048

/** The addresses at which members were met or are expected. */
export class KnownHosts {
  readonly #keys = new Set<string>()

  /** Remembers the host of a multiaddr, unless it is a name: incoming connections show only addresses. */
  add(multiaddr: string): void {
    const host = parseTcpMultiaddr(multiaddr)?.host
    if (host === undefined || isIP(host) === 0) return
    const key = addressKey(host)
    this.#keys.delete(key)
    this.#keys.add(key)
    if (this.#keys.size > HOSTS_MAX) this.#keys.delete(this.#keys.values().next().value!)
  }

  has(host: string): boolean {
    return this.#keys.has(addressKey(host))
  }
}
