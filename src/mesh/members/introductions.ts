import { isUnspecifiedHost, parseTcpMultiaddr, type HostPort } from '../../net/hostport.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { parseLaneAddress } from '../lanes/laneaddress.ts'
import { AnnouncedHosts } from './announcedhosts.ts'
import { announcedAddresses, type Announcement } from './announcement.ts'
import { Announcer } from './announcer.ts'
import type { NamePins } from './namepins.ts'
import type { Redialer } from './redialer.ts'

interface IntroductionsInit {
  self: { name: string; peerId: string }
  /** Multiaddrs that this host listens on. */
  addresses: () => string[]
  /** `host:port` of its lanes. */
  laneAddress: string
  pins: NamePins | undefined
  redialer: Redialer
  memberCount: () => number
  isMember: (peerId: string) => boolean
  publish: (message: Uint8Array) => Promise<void>
}

/** Lets hosts with one common member find each other: each announces itself, and the others dial it. */
export class Introductions {
  readonly #init: IntroductionsInit
  readonly #announcer: Announcer
  readonly #hosts = new AnnouncedHosts()

  constructor(components: { clock: Clock; log: Log }, init: IntroductionsInit) {
    this.#init = init
    this.#announcer = new Announcer(components, {
      own: () => this.#own(),
      memberCount: init.memberCount,
      publish: init.publish,
      learn: (announcement, viaPeerId) => this.#learn(announcement, viaPeerId),
    })
  }

  start(): void {
    this.#announcer.start()
  }

  stop(): void {
    this.#announcer.stop()
  }

  announceSoon(): void {
    this.#announcer.announceSoon()
  }

  heard(message: Uint8Array, fromPeerId: string, viaPeerId: string): void {
    this.#announcer.heard(message, fromPeerId, viaPeerId)
  }

  /** Addresses that a peer announced. */
  hostsOf(peerId: string): readonly string[] {
    return this.#hosts.of(peerId)
  }

  /** Ports that a peer announced. */
  portsOf(peerId: string): readonly number[] {
    return this.#hosts.portsOf(peerId)
  }

  /** Where a peer says that its mesh is met; for this host's own id, what it tells the others. */
  meshOf(peerId: string): readonly HostPort[] {
    if (peerId !== this.#init.self.peerId) return this.#hosts.meshOf(peerId)
    return announcedAddresses(this.#init.addresses()).flatMap((address) => parseTcpMultiaddr(address) ?? [])
  }

  #own(): Announcement {
    const { self, addresses, laneAddress } = this.#init
    const isNamed = !isUnspecifiedHost(parseLaneAddress(laneAddress).host)
    return { version: 1, ...self, addresses: addresses(), ...(isNamed ? { lane: laneAddress } : {}) }
  }

  /** Takes up an announced host, unless its name is another's or the peer that passed it on has left. */
  #learn(announcement: Announcement, viaPeerId: string): void {
    const { self, pins, isMember, redialer } = this.#init
    const { name, peerId, addresses } = announcement
    const holder = pins?.holderOf(name) ?? peerId
    if (peerId === self.peerId || holder !== peerId || !isMember(viaPeerId)) return
    this.#hosts.note(announcement)
    redialer.keepLearnt(peerId, addresses, viaPeerId)
  }
}
