import { networkInterfaces } from 'node:os'

import type { Census } from '../census/index.ts'
import type { SpentBytes } from '../conversation/index.ts'
import { holdsSocket, type Guest, type Manager, type OtherEnd } from '../guest/index.ts'
import type { Member, MessageStream } from '../mesh/index.ts'
import { parseHostPort, parseTcpMultiaddr } from '../net/hostport.ts'
import type { PortRange } from '../net/portranges.ts'
import { listTogether, PageBudget, type ListedPages, type PageScope } from '../page/index.ts'
import {
  arrivalResult, formatRelayAddress, IncomingRelays, mayDial, openTunnel, OutgoingRelays, parseDialRule,
  parseRelayAddress, plainHost, UNKNOWN_GUEST, type Connection, type DialRule, type IncomingRelay, type MainChannel,
  type OwnAddresses, type RelayAddress, type RelayedGuest, type Tunnel,
} from '../relay/index.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { RelayResult } from '../transfer/index.ts'
import { requireAllowed, type AcceptRule } from './acceptance.ts'
import type { TunnelRequest } from './api.ts'
import { managerOf } from './guestlist.ts'
import type { HandoffsComponents, HandoffSwitches } from './handoffs.ts'
import { spentOf, trafficOf } from './ledger.ts'
import { valueOf, type AgentOptions } from './options.ts'
import { createPeerPages, noPeerPages } from './peerpages.ts'
import { standBack } from './standback.ts'

/** Most pages fetched from peers that all relays together hold: 256 MiB. */
const FETCHED_PAGES_MAX = 2 ** 16

export interface RelaysInit {
  switches: HandoffSwitches
  accept: readonly AcceptRule[] | undefined
  /** Addresses that members may have this host dial. */
  dial: readonly DialRule[]
  /** Addresses that this agent listens on: it never dials them for a member. */
  own: Omit<OwnAddresses, 'hosts'>
}

/** A relayed migration under way, as `status` shows it. */
export interface RelayStatus {
  direction: 'outgoing' | 'incoming'
  driver: 'relay'
  guest: string
  from: string
  to: string
  /** The address that is dialled at the destination. */
  address: string
  /** The manager that started its QEMU; null: not known. */
  manager: Manager | null
  phase: 'precopy' | 'postcopy' | 'switchover' | 'relaying'
  /** Bytes that QEMU wrote, and bytes on the wire. */
  streamBytes: number
  wireBytes: number
}

/**
 * Addresses that members may have this host dial: those of `tunnel.to`, and its own at the ports that it intercepts.
 * Throws PagemeshError `bad-option`. Pure.
 */
export function dialRules({ to, ports }: { to: readonly string[]; ports: readonly PortRange[] }): DialRule[] {
  const own = ports.map((range) => ({ kind: 'own' as const, ...range }))
  return [...own, ...to.map((text) => {
    const rule = parseDialRule(text)
    if (rule !== undefined) return rule
    throw new PagemeshError('bad-option', `\`tunnel.to\` has ${JSON.stringify(text)}, which is no address.`, {
      fault: 'usage', advice: 'Write /run/vms/*.sock, 10.0.0.2:8102 or 127.0.0.1:49152-49215.',
    })
  })]
}

/** Addresses that this host's agent listens on, from its options. Pure. */
export function ownAddresses(options: Pick<AgentOptions, 'listen' | 'lane' | 'reserved'>): RelaysInit['own'] {
  const { lane, reserved = [] } = options
  const listen = valueOf(options, 'listen')
  const ports = [
    ...listen.map((address) => parseTcpMultiaddr(address)?.port),
    // Default: the port after that of the first listen address.
    lane === undefined ? (parseTcpMultiaddr(listen[0] ?? '')?.port ?? 0) + 1 : parseHostPort(lane)?.port,
    ...reserved.map((address) => parseHostPort(address)?.port),
  ]
  return {
    ports: new Set(ports.filter((port) => port !== undefined)),
    paths: reserved.filter((address) => address.startsWith('/')),
  }
}

/**
 * The pages that a stream may carry: those of its guest, or of all guests of its scope if its guest is not known or not
 * scanned. Undefined if it may be a guest that shares nothing, or of another scope.
 */
export function pagesOfStream(
  guest: Guest | undefined, scope: PageScope | 'private' | undefined,
  { census, guests }: { census: Pick<Census, 'all' | 'of'>; guests: readonly Guest[] },
): ListedPages | undefined {
  const isPrivate = (guest === undefined ? guests : [guest]).some((one) => one.isPrivate === true)
  if (isPrivate || scope === undefined) return undefined
  const own = guest === undefined ? undefined : census.of(guest.name)
  if (own?.scope === scope) return own
  return listTogether(census.all().filter((found) => found.scope === scope).map(({ table }) => table))
}

/** The migrations that managers drive from and to this host. */
export class Relays {
  readonly #components: HandoffsComponents
  readonly #init: RelaysInit
  readonly #outgoing: OutgoingRelays
  readonly #incoming: IncomingRelays
  readonly #tunnels = new Set<Tunnel>()
  readonly traffic = { sentBytes: 0, receivedBytes: 0 }
  /** Bytes saved in both directions, compared with what QEMU wrote. */
  savedBytes = 0

  constructor(components: HandoffsComponents, init: RelaysInit) {
    const { switches } = init
    const { census, store, history } = components
    this.#components = components
    this.#init = init
    const shared = { spent: (): SpentBytes => spentOf(trafficOf(components)), standBack: () => standBack(components) }
    this.#outgoing = new OutgoingRelays(components, {
      ...shared, compression: switches.compression,
      onOver: async (result, { manager }) => {
        this.#count({ sentBytes: result.wireBytes, receivedBytes: result.receivedWireBytes })
        this.#countSaved(result)
        await history.add(result, { direction: 'outgoing', driver: 'relay', manager })
      },
    })
    this.#incoming = new IncomingRelays({
      ...components, ...shared, sources: [census.resident, store.source],
      peers: switches.peers ? createPeerPages(components) : noPeerPages, budget: new PageBudget(FETCHED_PAGES_MAX),
    }, {
      ...shared,
      isPrivate: (guest) => components.guests.isPrivate(guest),
      has: (high, low, bits, tenant) => census.has(high, low, bits, tenant) || store.has(high, low, bits),
      requireAllowed: (address, about) => this.#requireAllowed(address, about),
      onRefused: ({ from, guest, code }) => {
        components.audit.note({ event: 'offer-refused', member: from.name, guest, code })
      },
      onOver: (relay) => this.#arrived(relay),
    })
  }

  /** Carries a connection of a migration to another host, as `OutgoingRelays.carry` says. */
  async carry(connection: Omit<Connection, 'pid' | 'findGuest'>, otherEnd: OtherEnd): Promise<void> {
    await this.#outgoing.carry({
      ...connection,
      pid: otherEnd.pid ?? this.#guestBehind(otherEnd)?.pid,
      findGuest: async () => this.#relayed(this.#guestBehind(otherEnd)),
    })
  }

  /** Opens a tunnel, as `Agent.tunnel` says. */
  async tunnel({ to, path, remotePath = path, mode = 0o600, gid, onNews }: TunnelRequest): Promise<Tunnel> {
    const { log, mesh } = this.#components
    if (to === mesh.self.name) {
      throw new PagemeshError('same-host', `${to} is this host.`, { fault: 'usage' })
    }
    const address = requireAddress(remotePath)
    const tunnel = await openTunnel({ log }, {
      path: requireAddress(path), mode, ...(gid === undefined ? {} : { gid }), hosts: ownHosts(),
      carry: (endpoint, otherEnd) => this.carry({ endpoint, to, address, otherwise: 'closed', onNews }, otherEnd),
      onRefused: (error) => {
        log.warn('a connection was not relayed', { to, code: error.code, reason: describeError(error) })
        onNews({ event: 'refused', code: error.code, reason: describeError(error) })
      },
    })
    this.#tunnels.add(tunnel)
    // It never rejects.
    void tunnel.closed.then(() => this.#tunnels.delete(tunnel))
    return tunnel
  }

  async receive(stream: MessageStream, from: Member): Promise<void> {
    await this.#incoming.receive(stream, from)
  }

  list(): RelayStatus[] {
    const { name } = this.#components.mesh.self
    const outgoing = this.#outgoing.running().map(({ init, told, counts }): RelayStatus => ({
      direction: 'outgoing', driver: 'relay', guest: init.guest ?? UNKNOWN_GUEST, from: name, to: init.to,
      address: formatRelayAddress(init.address), manager: init.manager ?? null, phase: phaseOf(told),
      streamBytes: sum(counts.map(({ streamBytes }) => streamBytes)),
      wireBytes: sum(counts.map(({ sentBytes }) => sentBytes)),
    }))
    const incoming = this.#incoming.running().map(({ init: { offer, from }, summary, traffic }): RelayStatus => ({
      direction: 'incoming', driver: 'relay', guest: offer.guest ?? UNKNOWN_GUEST, from: from.name, to: name,
      address: formatRelayAddress(offer.address), manager: offer.manager ?? null, phase: 'relaying',
      streamBytes: summary.streamBytes, wireBytes: traffic.receivedBytes,
    }))
    return [...outgoing, ...incoming]
  }

  /** Closes every tunnel, and every connection at once. */
  async stop(): Promise<void> {
    await Promise.all([...this.#tunnels].map((tunnel) => tunnel.close()))
    this.#outgoing.stop()
    this.#incoming.stop()
  }

  #requireAllowed(address: RelayAddress, { guest, from }: { guest: string; from: string }): void {
    const here = this.#components.mesh.self.name
    requireAllowed(this.#init.accept, { guest, from, here })
    if (mayDial(address, { rules: this.#init.dial, own: { ...this.#init.own, hosts: ownHosts() } })) return
    const text = formatRelayAddress(address)
    throw new PagemeshError('not-allowed', `${text} may not be dialled there.`, {
      fault: 'peer', phase: 'offer', data: { address: text, from },
      advice: `To allow it, add ${JSON.stringify(text)} to \`tunnel.to\` in the configuration of ${here}, and ` +
        'restart its agent.',
    })
  }

  /** The guest whose socket is at the other end of a connection; a manager may have opened it and passed it on. */
  #guestBehind({ pid, inode }: OtherEnd): Guest | undefined {
    const guests = this.#components.guests.all()
    return guests.find((guest) => pid !== undefined && guest.pid === pid) ??
      guests.find(({ process }) => inode !== undefined && process !== undefined && holdsSocket(process, inode))
  }

  #relayed(guest: Guest | undefined): RelayedGuest {
    const { census, guests, scopes } = this.#components
    const scope = guest?.isPrivate === true ? 'private' : scopes.of(guest?.name)
    const about = { name: guest?.name, manager: managerOf(guest) ?? undefined, process: guest?.process }
    const all = { census, guests: guests.all() }
    const listed = this.#init.switches.references ? pagesOfStream(guest, scope, all) : undefined
    return { ...about, census: listed, scope }
  }

  async #arrived(relay: IncomingRelay): Promise<void> {
    const { init: { offer, from }, outcome, traffic, summary, channelCount, totalMs } = relay
    this.#count(traffic)
    const result = arrivalResult({ guest: offer.guest, from: from.name, to: this.#components.mesh.self.name }, {
      outcome, totalMs, traffic, summary, channels: channelCount,
      spent: spentOf(trafficOf(this.#components)),
    })
    if (result.qemuBytes === 0) return
    this.#countSaved(result)
    await this.#components.history.add(result, { direction: 'incoming', driver: 'relay', manager: offer.manager })
  }

  /** Bytes fetched from peers are not subtracted here: they count as spent. */
  #countSaved({ status, qemuBytes, wireBytes, receivedWireBytes }: RelayResult): void {
    if (status === 'completed') this.savedBytes += qemuBytes - wireBytes - receivedWireBytes
  }

  #count(bytes: { sentBytes: number; receivedBytes: number }): void {
    this.traffic.sentBytes += bytes.sentBytes
    this.traffic.receivedBytes += bytes.receivedBytes
  }
}

function requireAddress(text: string): RelayAddress {
  const address = parseRelayAddress(text)
  if (address !== undefined) return address
  throw new PagemeshError('bad-address', `${JSON.stringify(text)} is no address that can be carried.`, {
    fault: 'usage', advice: 'Write the absolute path of a socket, or an IP address and port such as 127.64.0.2:20500.',
  })
}

function phaseOf({ isMigration, isPostcopy, hasRamEnded }: MainChannel): RelayStatus['phase'] {
  if (!isMigration) return 'relaying'
  if (isPostcopy) return 'postcopy'
  return hasRamEnded ? 'switchover' : 'precopy'
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}

/** The current addresses of this host's network interfaces. */
function ownHosts(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return new Set(all.map(({ address }) => plainHost(address) ?? address))
}
