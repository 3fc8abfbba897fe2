import type { Census } from '../census/index.ts'
import type { SpentBytes } from '../conversation/index.ts'
import type { DiscoveredGuest, Guest, GuestState, Manager, UnusableGuest } from '../guest/index.ts'
import type { IncomingStatus } from '../handoff/index.ts'
import type { InterceptStatus } from '../intercept/index.ts'
import type { Invitations, Mesh, NamePins } from '../mesh/index.ts'
import { kernelInUse, type KernelInUse, type PageScopes } from '../page/index.ts'
import type { Keeper } from '../placement/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Possession } from '../possession/index.ts'
import type { KeysState, Rotation } from '../rotation/index.ts'
import type { Store } from '../store/index.ts'
import type { Swap } from '../swap/index.ts'
import type { HandoffProgress } from '../transfer/index.ts'
import type { HeldGuest } from './api.ts'
import type { EndedCount, EndedTally, PassageSums } from './endedtally.ts'
import { driverOf, lastStateOf, managerOf, type GuestList } from './guestlist.ts'
import type { Handoffs } from './handoffs.ts'
import { ledgerOf, trafficOf } from './ledger.ts'
import { addressOf } from './peeraddress.ts'
import type { Relays, RelayStatus } from './relays.ts'
import { VERSION } from './version.ts'

const UNUSABLE_MAX = 64

/** A snapshot of an agent: printed by `pagemesh status --json`, and the source of the status page and metrics. */
export interface AgentStatus {
  host: string
  peerId: string
  version: string
  /** What hashes pages: the compiled kernel, by instruction set, or the slower npm package. */
  kernel: KernelInUse
  /** Every guest was scanned since it appeared, and no page that placement wants is pending. */
  settled: boolean
  peers: { host: string; peerId: string; address: string }[]
  guests: {
    name: string
    pid: number | null
    state: GuestState | 'unknown'
    /** Who moves it: this agent over QMP, or a manager; null for a guest that the embedding program added. */
    driver: DiscoveredGuest['driver'] | null
    /** The manager that started its QEMU, such as libvirt; null: not known. */
    manager: Manager | null
    /** It shares pages with guests of this tenant alone. */
    tenant: string
    ramBytes: number
    residentPages: number
    distinctPages: number
  }[]
  census: { distinctPages: number; omittedPages: number; scans: number; bytes: number }
  /**
   * Known popular pages, the memory that popularity takes, refused reports and gossip messages, pages whose reported
   * holders could not prove that they hold them, and the age of the oldest part of what is known.
   */
  popularity: { pages: number; bytes: number; refused: number; unproven: number; viewAgeMs: number }
  placement: { wanted: number; held: number; pending: number }
  store: { pages: number; bytes: number; maxBytes: number; damagedPages: number }
  traffic: {
    report: Traffic
    gossip: Traffic
    /** Pages fetched and served for the store. */
    swap: Traffic
    /** Pages fetched and served for guests that were moving. */
    peers: Traffic
    handoff: Traffic
  }
  ledger: {
    /** Bytes that QEMU would have sent for the guests that moved from and to here, minus the handoffs' bytes. */
    savedBytes: number
    /** Bytes sent and received for other purposes, by account. */
    spentBytes: SpentBytes & { peers: number }
    netBytes: number
  }
  /** `qmp`: driven by an agent; `relay`: by a manager, so that the rest to send is unknown. */
  handoffs: (
    | ({ direction: 'outgoing'; driver: 'qmp' } & HandoffProgress)
    | ({ direction: 'incoming'; driver: 'qmp' } & IncomingStatus)
    | RelayStatus
  )[]
  /** Numbers of handoffs that ended since start, by kind and outcome. */
  ended: EndedCount[]
  /** Sums over the streams of guests that left here since start. */
  passages: PassageSums
  /** Copies of guests that stay paused here until someone decides whether they may run. */
  held: HeldGuest[]
  /** Guests that left here and whose arrival is not confirmed: this agent answers for them, so it must not go. */
  unsettled: string[]
  /** Peers that could not prove the cluster key, since start. */
  strangers: number
  /** Identities with which several hosts run, this host's own or another's: none of these hosts is let in. */
  doubled: { host: string; peerId: string }[]
  /** The cluster keys of this host, and what an operator must do about them. */
  keys: KeysState
  /** Refused since start: offers of guests, and hosts whose name belongs to another identity. */
  refused: { offers: number; names: number }
  /** Open ones; since start, new hosts that got the cluster key, and connections that named one and got no key. */
  invitations: { open: number; joined: number; refused: number }
  /** Interception of managers' connections to members; if it is off: not active, and without a reason. */
  intercept: InterceptStatus
  /** Sockets that match `guests`, and processes, that were refused as guests, with the reasons: the first 64. */
  unusable: UnusableGuest[]
}

export interface Traffic {
  sentBytes: number
  receivedBytes: number
}

/** Takes the snapshot: reads the state of all parts and changes nothing. */
export function snapshot(
  parts: {
    mesh: Mesh
    census: Census
    popularity: Popularity
    possession: Possession
    store: Store
    keeper: Keeper
    guests: GuestList
    scopes: Pick<PageScopes, 'tenantOf'>
    swap: Swap
    handoffs: Handoffs | undefined
    relays: Relays | undefined
    pins: NamePins
    invitations: Invitations
    rotation: Pick<Rotation, 'state'>
    interception: { readonly status: InterceptStatus }
    ended: EndedTally
  },
): AgentStatus {
  const { mesh, census, store, keeper, guests, handoffs, relays } = parts
  const { distinctPages, omittedPages, scans, bytes } = census.totals
  const traffic = trafficOf(parts)
  const nothing = { sentBytes: 0, receivedBytes: 0 }
  return {
    host: mesh.self.name,
    peerId: mesh.self.peerId,
    version: VERSION,
    kernel: kernelInUse(),
    settled: census.settled && keeper.totals.pending === 0,
    peers: mesh.members().map((member) => ({
      host: member.name, peerId: member.peerId, address: addressOf(mesh, member),
    })),
    guests: guests.all().map((guest) => guestOf(guest, parts)),
    census: { distinctPages, omittedPages, scans, bytes },
    popularity: popularityOf(parts),
    placement: { ...keeper.totals },
    store: { pages: store.pages, bytes: store.bytes, maxBytes: store.bytesMax, damagedPages: store.damagedPages },
    traffic: { ...traffic, handoff: sumOf(handoffs?.traffic ?? nothing, relays?.traffic ?? nothing) },
    ledger: ledgerOf(traffic, (handoffs?.savedBytes ?? 0) + (relays?.savedBytes ?? 0)),
    handoffs: [...handoffs?.list() ?? [], ...relays?.list() ?? []],
    ended: parts.ended.counts(),
    passages: parts.ended.sums(),
    held: handoffs?.allHeld() ?? [],
    unsettled: handoffs?.allUnsettled() ?? [],
    strangers: mesh.strangerCount,
    doubled: mesh.doubled.map(({ name, peerId }) => ({ host: name, peerId })),
    keys: parts.rotation.state,
    refused: { offers: handoffs?.refusedOffers ?? 0, names: parts.pins.claimCount },
    invitations: parts.invitations.counts,
    intercept: parts.interception.status,
    unusable: guests.unusable().slice(0, UNUSABLE_MAX),
  }
}

function guestOf(
  guest: Guest, { census, scopes }: { census: Census; scopes: Pick<PageScopes, 'tenantOf'> },
): AgentStatus['guests'][number] {
  const scanned = census.of(guest.name)
  return {
    name: guest.name,
    pid: guest.pid ?? null,
    state: lastStateOf(guest),
    driver: driverOf(guest),
    manager: managerOf(guest),
    tenant: scopes.tenantOf(guest.name),
    ramBytes: guest.memory.blocks.reduce((sum, block) => sum + block.bytes, 0),
    residentPages: scanned?.residentPages ?? 0,
    distinctPages: scanned?.distinctPages ?? 0,
  }
}

function sumOf(one: Traffic, other: Traffic): Traffic {
  return {
    sentBytes: one.sentBytes + other.sentBytes, receivedBytes: one.receivedBytes + other.receivedBytes,
  }
}

function popularityOf(
  { popularity, possession: { counts } }: { popularity: Popularity; possession: Possession },
): AgentStatus['popularity'] {
  const { view, viewAgeMs, sizes, refusals } = popularity
  return {
    pages: view.pages,
    bytes: sizes.viewBytes + sizes.reportBytes,
    refused: Object.values(refusals).reduce((sum, count) => sum + count, 0),
    unproven: counts.missing + counts.wrong,
    viewAgeMs,
  }
}
