import type { Guest, GuestMemory } from '../guest/index.ts'
import { HANDOFF_PROTOCOL, OUTCOME_PROTOCOL } from '../handoff/index.ts'
import { readClusterKeys } from '../mesh/index.ts'
import { createPageHasher, warmUpInventory } from '../page/index.ts'
import { warmUp } from '../passage/index.ts'
import { RELAY_PROTOCOL, type DialRule, type Tunnel } from '../relay/index.ts'
import type { KeysReport, RotationRequest } from '../rotation/index.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import { deferred, type Deferred } from '../runtime/wait.ts'
import type { HandoffEstimate } from '../transfer/index.ts'
import type { AcceptRule } from './acceptance.ts'
import type {
  Agent, CancelOutcome, Handoff, HandoffRecord, HeldGuest, MigrateRequest, RecoverRequest, SettleDecision,
  SettleOutcome, TunnelRequest,
} from './api.ts'
import type { AuditRecord } from './audit.ts'
import { Cluster } from './cluster.ts'
import type { EvacuateRequest, EvacuationResult } from './evacuation.ts'
import { examine, type Examination } from './examination.ts'
import { fromMemory, GuestList } from './guestlist.ts'
import { Handoffs, type HandoffSwitches } from './handoffs.ts'
import { invite, type Invitation, type InviteRequest } from './inviting.ts'
import { createMetrics } from './metrics.ts'
import { compressionMode, valueOf, type AgentOptions } from './options.ts'
import { createParts, type AgentComponents, type Parts } from './parts.ts'
import { acceptPeer, listPeers, type AcceptedPeer, type PeerName } from './peers.ts'
import { listPopular, type PopularPage } from './popularpages.ts'
import { serveReach } from './reach.ts'
import { dialRules, ownAddresses, Relays } from './relays.ts'
import { openRuntimeDirectory } from './runtimedirectory.ts'
import { snapshot, type AgentStatus } from './status.ts'
import type { ClusterView } from './summaries.ts'

/**
 * Makes an agent; nothing runs before `start`.
 * Throws PagemeshError `key-missing`, `key-exposed` or `key-malformed` if the cluster key cannot be read.
 */
export async function createAgent(options: AgentOptions, components: AgentComponents = {}): Promise<Agent> {
  const { clusterKey } = options
  const keys = typeof clusterKey === 'string' ? await readClusterKeys(clusterKey) : { used: clusterKey }
  return new HostAgent(await createParts(options, components, keys), {
    ...options,
    accept: options.accept,
    metrics: { guestNames: valueOf(options, 'metrics.guestNames') },
    dial: dialRules({ to: valueOf(options, 'tunnel.to'), ports: options.intercept?.ports ?? [] }),
    handoff: {
      references: valueOf(options, 'handoff.references'),
      peers: valueOf(options, 'handoff.peers'),
      compression: compressionMode(valueOf(options, 'handoff.compression')),
      parallel: valueOf(options, 'handoff.parallel'),
    },
  })
}

type HostOptions = Omit<AgentOptions, 'accept'> & {
  handoff: HandoffSwitches
  accept: AcceptRule[] | undefined
  dial: DialRule[]
}

class HostAgent implements Agent {
  readonly #parts: Parts
  readonly #options: HostOptions
  readonly #guests: GuestList
  readonly #ended: Deferred<void> = deferred()
  readonly #metrics: ReturnType<typeof createMetrics>
  #handoffs: Handoffs | undefined
  #relays: Relays | undefined
  #cluster: Cluster | undefined
  /** Undo functions of the steps of `start`; run in reverse order. */
  readonly #undo: (() => Promise<void> | void)[] = []
  #starting: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: Parts, options: HostOptions) {
    this.#parts = parts
    this.#options = options
    this.#guests = new GuestList(parts)
    this.#metrics = createMetrics(() => this.status(), options)
  }

  get ended(): Promise<void> {
    return this.#ended.promise
  }

  start(): Promise<void> {
    this.#starting ??= this.#start().catch(async (error: unknown) => {
      await this.stop()
      throw error
    })
    return this.#starting
  }

  async #start(): Promise<void> {
    const { mesh, census, popularity, possession, swap, keeper, discovery, history, log, audit, pinFile } = this.#parts
    const { path: directory, close } = await openRuntimeDirectory(this.#options.runtimeDirectory)
    this.#undo.push(close)
    await audit.start()
    this.#undo.push(() => audit.stop())
    await pinFile.start()
    this.#undo.push(() => pinFile.stop())
    await history.start()
    this.#undo.push(() => this.#parts.threads.stop())
    this.#handoffs = new Handoffs({ ...this.#parts, guests: this.#guests }, {
      directory, switches: this.#options.handoff, accept: this.#options.accept,
    })
    const handoffs = this.#handoffs
    const { handoff: switches, accept, dial } = this.#options
    const relays = new Relays({ ...this.#parts, guests: this.#guests }, {
      switches, accept, dial, own: ownAddresses(this.#options),
    })
    this.#relays = relays
    this.#cluster = new Cluster(
      { ...this.#parts, guests: this.#guests, handoffs, status: () => this.status() }, switches,
    )
    const hasStore = await this.#openStore()
    this.#undo.push(() => handoffs.stop())
    this.#undo.push(() => relays.stop())
    await this.#parts.startFile.write()
    await mesh.start()
    this.#undo.push(() => mesh.stop())
    await census.start()
    this.#undo.push(() => census.stop())
    await popularity.start()
    this.#undo.push(() => popularity.stop())
    await possession.start()
    this.#undo.push(() => possession.stop())
    await swap.start()
    this.#undo.push(() => swap.stop())
    if (hasStore) {
      await keeper.start()
      this.#undo.push(() => keeper.stop())
    }
    this.#undo.push(this.#guests.watch(), serveReach(this.#parts), this.#parts.rotation.start())
    this.#undo.push(() => this.#parts.epochs.stop())
    await discovery.start()
    this.#undo.push(() => discovery.stop())
    this.#undo.push(mesh.handle(HANDOFF_PROTOCOL, (stream, from) => handoffs.receive(stream, from)))
    this.#undo.push(mesh.handle(OUTCOME_PROTOCOL, (stream, from) => handoffs.answer(stream, from)))
    this.#undo.push(this.#cluster.serve())
    this.#undo.push(mesh.handle(RELAY_PROTOCOL, (stream, from) => relays.receive(stream, from)))
    await handoffs.start()
    this.#undo.push(this.#parts.interception.start(relays))
    log.info('agent started', { host: mesh.self.name, peerId: mesh.self.peerId, address: mesh.self.address })
  }

  /**
   * Whether the store could be opened. A host whose disk is full or broken still moves guests; only a store that
   * belongs to another host prevents the start.
   */
  async #openStore(): Promise<boolean> {
    const { store, log } = this.#parts
    try {
      await store.start()
      this.#undo.push(() => store.stop())
      return true
    } catch (error) {
      if (!(error instanceof PagemeshError) || error.code !== 'store-unusable') throw error
      log.error('the page store cannot be used: this host keeps no pages', { error: describeError(error) })
      return false
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    await this.#handoffs?.stop()
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        this.#parts.log.error('a part of the agent did not stop cleanly', { error: String(error) })
      }
    }
    this.#ended.resolve()
  }

  async warmUp(): Promise<void> {
    const hasher = createPageHasher(new Uint8Array(32))
    await Promise.all([warmUp({ ...this.#parts, hasher }), warmUpInventory(this.#parts), this.#parts.threads.warmUp()])
  }

  addGuest(guest: GuestMemory | Guest): void {
    this.#guests.add('memory' in guest ? guest : fromMemory(guest))
  }

  removeGuest(name: string): void {
    this.#guests.remove(name)
  }

  migrate(request: MigrateRequest): Handoff {
    return this.#running().migrate(request)
  }

  estimate(request: MigrateRequest): Promise<HandoffEstimate> {
    return this.#running().estimate(request, true)
  }

  async evacuate(request: EvacuateRequest): Promise<EvacuationResult> {
    this.#running()
    return await this.#cluster!.evacuate(request)
  }

  async cluster(): Promise<ClusterView> {
    this.#running()
    return await this.#cluster!.view()
  }

  async cancel(guestName: string): Promise<CancelOutcome> {
    return await this.#running().cancel(guestName)
  }

  recover(request: RecoverRequest): Handoff {
    return this.#running().recover(request)
  }

  async tunnel(request: TunnelRequest): Promise<Tunnel> {
    this.#running()
    return await this.#relays!.tunnel(request)
  }

  held(guest: string): HeldGuest {
    return this.#running().held(guest)
  }

  async settle(guest: string, decision: SettleDecision): Promise<SettleOutcome> {
    return await this.#running().settle(guest, decision)
  }

  history(): HandoffRecord[] {
    return this.#parts.history.list()
  }

  async audit(countMax: number): Promise<AuditRecord[]> {
    return await this.#parts.audit.last(countMax)
  }

  invite(request: InviteRequest): Invitation {
    return invite(this.#parts, request)
  }

  async keys(request: RotationRequest): Promise<KeysReport> {
    this.#running()
    return await this.#parts.rotation.run(request)
  }

  peers(): PeerName[] {
    return listPeers(this.#parts.mesh, this.#parts.pins)
  }

  acceptPeer(name: string, peerId?: string): AcceptedPeer {
    const accepted = acceptPeer(this.#parts.mesh, this.#parts.pins, name, peerId)
    this.#parts.audit.note({ event: 'name-accepted', name, peerId: accepted.peerId, before: accepted.before })
    return accepted
  }

  status(): AgentStatus {
    return snapshot({ ...this.#parts, guests: this.#guests, handoffs: this.#handoffs, relays: this.#relays })
  }

  async examine(to: string | undefined, signal: AbortSignal): Promise<Examination> {
    return await examine({ ...this.#parts, guests: this.#guests }, this.status(), { to, signal })
  }

  pages(countMax: number): PopularPage[] {
    const { popularity, census } = this.#parts
    return listPopular(popularity.view, census, countMax)
  }

  metrics(): Promise<string> {
    return this.#metrics()
  }

  #running(): Handoffs {
    if (this.#handoffs === undefined) {
      throw new PagemeshError('not-started', 'The agent was not started.', {
        fault: 'usage', advice: 'Call start() first.',
      })
    }
    return this.#handoffs
  }
}
