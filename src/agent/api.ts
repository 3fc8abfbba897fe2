/** What an agent does for whoever embeds it, and what it is asked and answers. */
import type { Guest, GuestMemory, GuestState, Manager, MigrationMode } from '../guest/index.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult, RelayResult } from '../transfer/index.ts'
import type { RelayNews, Tunnel } from '../relay/index.ts'
import type { AuditRecord } from './audit.ts'
import type { AcceptedPeer, PeerName } from './peers.ts'
import type { PopularPage } from './popularpages.ts'
import type { AgentStatus } from './status.ts'

export interface Agent {
  /** Idempotent; a failed start stops what had started. Throws PagemeshError, such as `name-taken`. */
  start(): Promise<void>
  /** Ends what runs (handoffs are cancelled) and waits for it. Idempotent. */
  stop(): Promise<void>
  /**
   * Runs the data path of handoffs once on made-up pages, for some hundred milliseconds, so that the first handoff is
   * as fast as later ones. Optional; a host's daemon does it after its start.
   */
  warmUp(): Promise<void>
  /** Adds a guest besides those found through QMP sockets: its memory alone, or a whole guest that can move. */
  addGuest(guest: GuestMemory | Guest): void
  removeGuest(name: string): void
  /**
   * Hands a guest to another host. Does not reject for anything that happens to the handoff: the result says it.
   * `on('progress')` follows it.
   */
  migrate(request: MigrateRequest): Handoff
  /** Asks the destination what it has of a guest; moves nothing. Rejects with what would have failed the handoff. */
  estimate(request: MigrateRequest): Promise<HandoffEstimate>
  /**
   * Asks for the handoff of a guest to be cancelled: its QEMU decides. Resolves when it is decided, and by then the
   * handoff has ended. Rejects with PagemeshError `no-handoff` if none runs.
   */
  cancel(guestName: string): Promise<CancelOutcome>
  /** Resumes a post-copy handoff that was broken. As with `migrate`, the result says all that happens to it. */
  recover(request: RecoverRequest): Handoff
  /**
   * Listens at an address here and carries its connections to one on another host, for managers that drive QEMU
   * themselves. Rejects with PagemeshError `bad-address`, `tunnel-taken`, `tunnel-unusable` or `directory-exposed`.
   */
  tunnel(request: TunnelRequest): Promise<Tunnel>
  /** What is known of a guest that is held here until it is decided. Throws PagemeshError `not-held`. */
  held(guest: string): HeldGuest
  /** Decides for a guest that is held here. Rejects with PagemeshError `not-held` or `guest-cannot-run`. */
  settle(guest: string, decision: SettleDecision): Promise<SettleOutcome>
  /** The last handoffs of this host, newest first, failed ones too; they survive a restart. */
  history(): HandoffRecord[]
  /**
   * The audit log, newest first: who moved what where, which member fetched how many pages, what was refused. Rejects
   * with the file system's error if it cannot be read.
   */
  audit(countMax: number): Promise<AuditRecord[]>
  /** The names of the mesh, and which identity each belongs to. */
  peers(): PeerName[]
  /**
   * Gives a name to the identity that claims it, or to the one that is named. Throws PagemeshError `no-claim`,
   * `several-claims`, `name-in-use` or `own-name`.
   */
  acceptPeer(name: string, peerId?: string): AcceptedPeer
  status(): AgentStatus
  /**
   * The pages that most hosts of the mesh hold, best first, as far as this host knows: at most `countMax`. Only stable
   * pages count, from a guest's second scan on; empty while this host is alone.
   */
  pages(countMax: number): PopularPage[]
  /** Prometheus text format. */
  metrics(): Promise<string>
  /** Rejects if the agent can no longer do its work (another host took its name). Never resolves before `stop`. */
  readonly ended: Promise<void>
}

export interface MigrateRequest {
  guest: string
  /** Name of the destination host. */
  to: string
  mode?: MigrationMode
  /** Bytes a second on the wire. */
  maxBandwidth?: number
  maxDowntimeMs?: number
  /**
   * Over how many multifd channels its pages go, 2 to 16, or 1: over QEMU's main one alone. Absent: as QEMU is set.
   * Post-copy has no multifd: more than 1 is refused there.
   */
  channels?: number
  timeoutMs?: number
  signal?: AbortSignal
}

export interface TunnelRequest {
  /** Name of the destination host. */
  to: string
  /** Where to listen: the path of a socket, or `host:port` with an address of this host. */
  path: string
  /** What is dialled at the destination; absent: the same. */
  remotePath?: string
  /** Of a socket: its mode, 0600 where it is absent, and the group that it is given to. */
  mode?: number
  gid?: number
  onNews: (news: TunnelNews) => void
}

/** What a tunnel tells of the migrations through it. `refused`: a connection was closed, and nothing was sent. */
export type TunnelNews = RelayNews | { event: 'refused'; code: string; reason: string }

export interface RecoverRequest {
  guest: string
  signal?: AbortSignal
}

/** What asking for a cancel came to: the guest stays here, has moved all the same, or the handoff failed otherwise. */
export interface CancelOutcome {
  status: 'cancelled' | 'too-late' | 'failed'
  result: HandoffResult
}

/**
 * A copy of a guest that stays paused here because nobody can say yet whether another one may run; or the QEMU that was
 * to take it and does not answer.
 */
export interface HeldGuest {
  guest: string
  /** Name of the host that it came from. */
  from: string
  /** For how long it has been held, ms. */
  sinceMs: number
  /** Why it is held, as a sentence. */
  why: string
  /** What is known of the other copy, as a sentence. */
  otherCopy: string
  /** Whether the operator can decide for it now. */
  isOpen: boolean
}

/** Of a copy that is held: it shall be what it was at the source, or it shall end. */
export type SettleDecision = 'run' | 'end'

export interface SettleOutcome {
  guest: string
  decision: SettleDecision
  state: GuestState | 'ended'
}

/** A handoff that has ended, as this host saw it. */
export type HandoffRecord = RelayResult & {
  direction: 'outgoing' | 'incoming'
  /** Who told QEMU to migrate: this host's agent over QMP, or a manager whose migration was relayed. */
  driver: 'qmp' | 'relay'
  /** Of a relayed one: who started the QEMU, where its command line told. */
  manager?: Manager
  /** ISO 8601, UTC. */
  endedAt: string
}

/** A running handoff: the promise of its result, with progress several times a second. */
export interface Handoff extends Promise<HandoffResult> {
  on(event: 'progress', listener: (progress: HandoffProgress) => void): this
}
