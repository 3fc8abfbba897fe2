/**
 * A host's agent: wires mesh, guests, census and handoffs together and runs them. The daemon is built on this face and
 * on nothing else. Several agents may live in one process.
 */
import type { Guest, GuestMemory, MigrationMode } from '../guest/index.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult } from '../handoff/index.ts'
import type { PopularPage } from './popularpages.ts'
import type { AgentStatus } from './status.ts'

export { createAgent, type AgentComponents } from './agent.ts'
export { OPTIONS, type AgentOptions, type OptionInfo, type OptionKind } from './options.ts'
export type { PopularPage } from './popularpages.ts'
export type { AgentStatus, Traffic } from './status.ts'

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
  /** Cancels the handoff of a guest. Throws PagemeshError `no-handoff` if none runs. */
  cancel(guestName: string): void
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
  timeoutMs?: number
  signal?: AbortSignal
}

/** A running handoff: the promise of its result, with progress several times a second. */
export interface Handoff extends Promise<HandoffResult> {
  on(event: 'progress', listener: (progress: HandoffProgress) => void): this
}
