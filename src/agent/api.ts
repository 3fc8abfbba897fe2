/** What an agent does for whoever embeds it, and what it is asked and answers. */
import type { Guest, GuestMemory, GuestState, Manager, MigrationMode } from '../guest/index.ts'
import type { RelayNews, Tunnel } from '../relay/index.ts'
import type { KeysReport, RotationRequest } from '../rotation/index.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult, RelayResult } from '../transfer/index.ts'
import type { AuditRecord } from './audit.ts'
import type { EvacuateRequest, EvacuationResult } from './evacuation.ts'
import type { Examination } from './examination.ts'
import type { Invitation, InviteRequest } from './inviting.ts'
import type { AcceptedPeer, PeerName } from './peers.ts'
import type { PopularPage } from './popularpages.ts'
import type { AgentStatus } from './status.ts'
import type { ClusterView } from './summaries.ts'

export interface Agent {
  /** Idempotent; a failed start stops what had started. Throws PagemeshError, such as `name-taken`. */
  start(): Promise<void>
  /** Cancels handoffs, stops all parts and waits for them. Idempotent. */
  stop(): Promise<void>
  /**
   * Runs the data path of a handoff once on made-up pages, for a few hundred milliseconds, so that the first handoff
   * is as fast as later ones. Optional; the daemon does it after its start.
   */
  warmUp(): Promise<void>
  /** Adds a guest that no QMP socket leads to: its memory alone, or a whole guest that can move. */
  addGuest(guest: GuestMemory | Guest): void
  removeGuest(name: string): void
  /**
   * Hands a guest to another host. Does not reject when the handoff fails: the result says so. `on('progress')`
   * follows it.
   */
  migrate(request: MigrateRequest): Handoff
  /**
   * Hands every guest of this host to others, a few at once; a guest whose destination fails goes elsewhere. Rejects
   * with PagemeshError `host-unknown`, `no-hosts` or `evacuating`: the result tells of each guest.
   */
  evacuate(request: EvacuateRequest): Promise<EvacuationResult>
  /** The state of all hosts of the mesh, asked of each of them; at most a second old. */
  cluster(): Promise<ClusterView>
  /**
   * What a handoff would come to: asks the destination which of the guest's pages it has, and looks at its memory.
   * Moves nothing. Rejects where a handoff would be refused.
   */
  estimate(request: MigrateRequest): Promise<HandoffEstimate>
  /**
   * Asks for the handoff of a guest to be cancelled: its QEMU decides. Resolves when the handoff has ended. Rejects
   * with PagemeshError `no-handoff` if none runs.
   */
  cancel(guestName: string): Promise<CancelOutcome>
  /** Resumes a post-copy handoff whose connections broke. As with `migrate`, the result tells of failures. */
  recover(request: RecoverRequest): Handoff
  /**
   * Listens at an address here and carries its connections to one on another host, for managers that drive QEMU
   * themselves. Rejects with PagemeshError `bad-address`, `tunnel-taken`, `tunnel-unusable` or `directory-exposed`.
   */
  tunnel(request: TunnelRequest): Promise<Tunnel>
  /** What is known of a guest that is held here. Throws PagemeshError `not-held`. */
  held(guest: string): HeldGuest
  /** Decides for a guest that is held here. Rejects with PagemeshError `not-held` or `guest-cannot-run`. */
  settle(guest: string, decision: SettleDecision): Promise<SettleOutcome>
  /** The last handoffs of this host, newest first, failed ones too; they survive a restart. */
  history(): HandoffRecord[]
  /**
   * The audit log, newest first: guests moved, pages that members fetched, requests refused. Rejects with the file
   * system's error if it cannot be read.
   */
  audit(countMax: number): Promise<AuditRecord[]>
  /**
   * Makes a token with which a new host gets the cluster key from this one (`pagemesh join`). Throws PagemeshError
   * `bad-option`, `busy`, or `mesh-stopped` while this host is not in the mesh.
   */
  invite(request: InviteRequest): Invitation
  /**
   * The cluster keys of this host and of its members, or a step by which all of them exchange theirs for another.
   * Rejects with PagemeshError, such as `key-unready`, if nothing was changed; the report says what each host did.
   */
  keys(request: RotationRequest): Promise<KeysReport>
  /** The host names of the mesh, and which identity each belongs to. */
  peers(): PeerName[]
  /**
   * Gives a name to `peerId`, or to the one identity that claims it. Throws PagemeshError `no-claim`, `several-claims`,
   * `name-in-use` or `own-name`.
   */
  acceptPeer(name: string, peerId?: string): AcceptedPeer
  status(): AgentStatus
  /**
   * Looks at everything that a handoff needs of this host, and of the network to and from its members, or the one
   * named. Takes seconds. Never rejects for what it finds.
   */
  examine(to: string | undefined, signal: AbortSignal): Promise<Examination>
  /**
   * The most popular pages that this host knows of, most popular first, at most `countMax`. Only stable pages count,
   * from a guest's second scan on; empty while this host is alone.
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
   * Number of multifd channels, 2 to 16, or 1 for QEMU's main channel alone. Absent: as QEMU is set. Post-copy has no
   * multifd: more than 1 is refused there.
   */
  channels?: number
  /** Longest time in the queue, and then again until the guest switches over. */
  timeoutMs?: number
  /**
   * What is done with a pre-copy that has not switched over after `timeoutMs`. `cancel`, the default; `postcopy`: the
   * rest goes by post-copy, for which both QEMUs are prepared from the beginning; `pause`: the guest stands still while
   * the rest goes, and then goes on there.
   */
  onTimeout?: 'cancel' | 'postcopy' | 'pause'
  /** Whether it waits for its turn where `handoff.parallel` guests leave already; otherwise it fails as `busy`. */
  wait?: boolean
  signal?: AbortSignal
}

export interface TunnelRequest {
  /** Name of the destination host. */
  to: string
  /** Where to listen: the path of a socket, or `host:port` with an address of this host. */
  path: string
  /** The address that is dialled at the destination; absent: the same as `path`. */
  remotePath?: string
  /** Mode of the socket's file (absent: 0600), and the group that owns it. */
  mode?: number
  gid?: number
  onNews: (news: TunnelNews) => void
}

/** Events of the migrations through a tunnel. `refused`: a connection was closed, and nothing was sent. */
export type TunnelNews = RelayNews | { event: 'refused'; code: string; reason: string }

export interface RecoverRequest {
  guest: string
  signal?: AbortSignal
}

/** Outcome of a cancel: the guest stays here, it moved all the same, or the handoff failed for another reason. */
export interface CancelOutcome {
  status: 'cancelled' | 'too-late' | 'failed'
  result: HandoffResult
}

/**
 * A copy of a guest that stays paused here while it is unknown whether the source's copy may run; or the destination
 * QEMU of a handoff, when it does not answer.
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

/** What to do with a held copy: put it into the run state that it had at the source, or end its QEMU. */
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
  /** The manager that started a relayed guest's QEMU, if its command line shows one. */
  manager?: Manager
  /** ISO 8601, UTC. */
  endedAt: string
}

/** A running handoff: the promise of its result, with progress several times a second. */
export interface Handoff extends Promise<HandoffResult> {
  on(event: 'progress', listener: (progress: HandoffProgress) => void): this
}
