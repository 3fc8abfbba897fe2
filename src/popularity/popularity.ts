import { GOSSIP_BYTES_MAX, StreamTraffic, type MeshPart, type Standing, type Unsubscribe } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import { HoldFlag } from '../runtime/holdflag.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { HeldPages, Popularity } from './api.ts'
import { Follower } from './bulletin/follower.ts'
import { Repairs } from './bulletin/repairs.ts'
import { ViewExchange } from './bulletin/viewexchange.ts'
import { Members } from './members.ts'
import { MostReported } from './mostreported.ts'
import { Owner } from './owner.ts'
import { SliceOwners } from './owners.ts'
import { Refusals } from './refusals.ts'
import { INCARNATION_BITS } from './report/reportcodec.ts'
import { Reporter } from './report/reporter.ts'
import { ReportServer } from './report/reportserver.ts'
import { ReportTable } from './report/reporttable.ts'
import { Snapshot } from './report/snapshot.ts'
import { View } from './view/view.ts'

export interface PopularityInit {
  /** Hosts that must hold a page before it counts as popular. */
  minHosts: number
  /** Pages in this host's view; four times as many may be reported to it as an owner. */
  maxPages: number
  /** Time between two reports, ms: the interval of the census. */
  intervalMs: number
  /** 32 bytes, derived from the cluster key: keys the hash that draws the owners of slices. */
  sliceKey: Uint8Array
  /** Whether the cluster key is being rotated, so that hosts may draw different owners; left out: it is not. */
  isRotating?: () => boolean
  /** When this host started, s, later than at any start before; left out: by the clock. */
  startedAt?: number
}

interface Parts {
  mesh: MeshPart
  clock: Clock
  random: Random
  log: Log
  held: HeldPages
  standing: Standing
}

/** The gossip topic of bulletins. */
const BULLETIN_TOPIC = '/pagemesh/popular/2'
/** Ticks per interval; the bounds of a tick follow, ms. */
const TICKS_PER_INTERVAL = 6
const TICK_MS_MIN = 250
const TICK_MS_MAX = 10_000
/** Least time between two messages of one host, ms. */
const GOSSIP_GAP_MS = 10_000
/** A host without news repeats its message after half an interval, or later in a mesh of very many hosts. */
const MESSAGES_PER_INTERVAL = 2
const MESH_GAP_MS = 30
/** Least time between two reads of the census, ms per page: some fifty times what a read takes. */
const REFRESH_REST_MS = 0.015
const REPORTED_PAGES_PER_VIEW_PAGE = 4

export function createPopularity(parts: Parts, init: PopularityInit): Popularity {
  return new HostPopularity(parts, init)
}

/** Runs the parts in turns: follow the members, read the census, report to the owners, sum reports, gossip, repair. */
class HostPopularity implements Popularity {
  readonly view: View
  readonly traffic = { report: new StreamTraffic(), view: new StreamTraffic() }
  readonly #parts: Parts
  readonly #init: PopularityInit
  readonly #refusals: Refusals
  readonly #owners: SliceOwners
  readonly #members: Members
  readonly #snapshot = new Snapshot()
  readonly #table: ReportTable
  readonly #reported: MostReported
  readonly #reporter: Reporter
  readonly #server: ReportServer
  readonly #follower: Follower
  readonly #owner: Owner
  readonly #exchange: ViewExchange
  readonly #repairs: Repairs
  readonly #hold = new HoldFlag()
  readonly #undo: Unsubscribe[] = []
  /** Turns that run now, by name; a turn waits only for its own last run. */
  readonly #running = new Map<string, Promise<void>>()
  #abort = new AbortController()
  readonly #tickMs: number
  /** Whether the table may hold reports of slices that are no longer this host's. */
  #holdsForeign = false
  #generation = -1
  #refreshFrom = 0
  #publishedAt = -Infinity
  /** When this host last summed what it owns; Infinity before it has started. */
  #summedAt = Infinity

  constructor(parts: Parts, init: PopularityInit) {
    const { mesh, clock, random, log } = parts
    const { minHosts, maxPages, intervalMs } = init
    const self = mesh.self.name
    const { startedAt = Math.floor(clock.wallTime() / 1000) } = init
    const incarnation = startedAt % 2 ** 32
    const seed = Buffer.from(random.bytes(4)).readUInt32LE()
    const owners = new SliceOwners({ key: init.sliceKey })
    this.#owners = owners
    const snapshot = this.#snapshot
    this.#parts = parts
    this.#init = init
    this.#refusals = new Refusals(parts)
    this.view = new View({ maxPages, nameOfTag: (tag) => owners.nameOfTag(tag) })
    this.#members = new Members({ clock }, { graceMs: intervalMs / 2 })
    this.#reported = new MostReported({ clock })
    this.#table = new ReportTable({
      pagesMax: REPORTED_PAGES_PER_VIEW_PAGE * maxPages, hostCount: () => owners.hostCount,
    })
    this.#tickMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, intervalMs / TICKS_PER_INTERVAL))
    const isSettled = (): boolean => this.#isSettled()
    const shared = { mesh, clock, log, owners, traffic: this.traffic.report, refusals: this.#refusals }
    this.#reporter = new Reporter({ ...shared, snapshot }, {
      incarnation: startedAt % 2 ** INCARNATION_BITS, retryMs: intervalMs / 2,
    })
    this.#follower = new Follower({ ...shared, view: this.view }, { self, minHosts, intervalMs, isSettled })
    this.#owner = new Owner(
      { clock, owners, snapshot, table: this.#table, view: this.view, follower: this.#follower },
      {
        self, seed, minHosts, intervalMs, incarnation, bytesMax: GOSSIP_BYTES_MAX,
        gapMs: (hosts) => Math.max(intervalMs / MESSAGES_PER_INTERVAL, hosts * MESH_GAP_MS),
        isReported: () => this.#reported.ms >= 0,
      },
    )
    this.#server = new ReportServer({ ...shared, table: this.#table }, {
      isSettled,
      catchUp: () => this.#follow(0),
      changed: (slices) => this.#owner.touch(slices),
      asked: ({ name }) => this.#reporter.asked(name),
    })
    this.#exchange = new ViewExchange({ ...shared, traffic: this.traffic.view })
    this.#repairs = new Repairs(
      { ...shared, random, members: this.#members, exchange: this.#exchange, follower: this.#follower },
      { intervalMs, reportedMs: () => this.#reported.ms },
    )
  }

  get refusals(): Readonly<Record<string, number>> {
    return this.#refusals.counts
  }

  get viewAgeMs(): number {
    const heardAt = Math.min(this.#summedAt, this.#follower.oldestHeardAt())
    return Number.isFinite(heardAt) ? this.#parts.clock.now() - heardAt : 0
  }

  get sizes(): Popularity['sizes'] {
    return {
      reportBytes: this.#table.bytes + this.#snapshot.bytes,
      reportedPages: this.#table.pages,
      viewPages: this.view.pages,
      viewBytes: this.view.bytes,
      publishedPages: this.#owner.publishedPages,
    }
  }

  standBack(): () => void {
    return this.#hold.hold()
  }

  async start(): Promise<void> {
    if (this.#undo.length > 0) return
    const { mesh, clock, random } = this.#parts
    this.#abort = new AbortController()
    const { signal } = this.#abort
    this.#summedAt = clock.now()
    this.#undo.push(this.#members.watch(mesh))
    this.#undo.push(this.#server.listen(signal))
    this.#undo.push(this.#exchange.listen((slice) => this.#owner.known(slice), signal))
    this.#undo.push(mesh.subscribe(BULLETIN_TOPIC, (message, peerId) => this.#hear(message, peerId)))
    const tickMs = this.#tickMs
    // A random first tick, so that hosts started together do not send at the same moments.
    const first = clock.after(random.fraction() * tickMs, () => {
      this.#tick()
      const timer = clock.every(tickMs, () => this.#tick())
      this.#undo.push(() => timer.cancel())
    })
    this.#undo.push(() => first.cancel())
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('popularity stops'))
    for (const undo of this.#undo.splice(0)) undo()
    await Promise.all(this.#running.values())
  }

  #tick(): void {
    this.#follow(this.#tickMs / 2)
    this.#run('report', (signal) => this.#report(signal))
    this.#run('publish', (signal) => this.#publish(signal))
    this.#run('repair', (signal) => this.#repairs.round(signal))
  }

  rekey(sliceKey: Uint8Array): void {
    this.#owners.rekey(sliceKey)
    this.#reporter.ownersChanged()
    this.#holdsForeign = true
    this.#owner.follow()
  }

  /** Whether hosts should agree on the members, and on who owns what, by now. */
  #isSettled(): boolean {
    return this.#init.isRotating?.() !== true && this.#members.quietMs > 2 * this.#init.intervalMs
  }

  /** Begins a turn, unless its last run still goes on. */
  #run(name: string, turn: (signal: AbortSignal) => Promise<void>): void {
    if (this.#running.has(name)) return
    const { signal } = this.#abort
    const running = this.#hold.released(this.#parts.clock, signal).then(() => turn(signal))
      .catch((error: unknown) => {
        if (signal.aborted) return
        this.#parts.log.warn('a round of popularity failed', { turn: name, error: describeError(error) })
      })
      .finally(() => this.#running.delete(name))
    this.#running.set(name, running)
  }

  /** Takes the present members; drops the reports of those that stayed away. */
  #follow(quietMs: number): void {
    const { self } = this.#parts.mesh
    if (this.#members.takeChanged(quietMs)) {
      const left = this.#owners.update([self, ...this.#members.all])
      for (const name of left) this.#reporter.forget(name)
      this.#reporter.ownersChanged()
      this.#holdsForeign = true
    }
    if (this.#holdsForeign && this.#isSettled()) {
      // By now the origins know that these slices are others'; should one come back, they report it anew.
      this.#table.retain((slice) => this.#owners.owns(self.name, slice))
      this.#holdsForeign = false
    }
    for (const name of this.#members.takeGone()) this.#owner.touch(this.#table.drop(name))
    for (const member of this.#members.all) {
      // What it reported before it lost its standing is not believed either.
      if (!this.#refusals.isTrusted(member)) this.#owner.touch(this.#table.drop(member.name))
    }
    const trusted = this.#members.all.filter((member) => this.#refusals.isTrusted(member))
    this.#reported.follow(trusted.length, trusted.filter(({ name }) => !this.#table.has(name)).length)
    this.#owner.follow()
    this.#follower.expire()
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { clock, held } = this.#parts
    if (held.generation !== this.#generation && clock.now() >= this.#refreshFrom) {
      const { generation } = held
      this.#owner.touch(await this.#snapshot.refresh(held, signal))
      // Only now: an interrupted refresh starts anew.
      this.#generation = generation
      this.#refreshFrom = clock.now() + REFRESH_REST_MS * this.#snapshot.pages
    }
    await this.#reporter.round(signal)
    const { intervalMs } = this.#init
    const silent = this.#members.takeStayer(intervalMs, intervalMs, (member) => {
      return !this.#table.has(member.name) && this.#refusals.isTrusted(member)
    })
    if (silent !== undefined) await this.#reporter.ask(silent.name, signal)
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { clock, mesh, log } = this.#parts
    const mayPublish = clock.now() - this.#publishedAt >= GOSSIP_GAP_MS && this.#owner.maySay
    if (!this.#owners.allOwn && !mayPublish) return
    await this.#owner.sum(signal)
    this.#summedAt = clock.now()
    if (!mayPublish) return
    const message = this.#owner.compose()
    if (message === undefined) return
    this.#publishedAt = clock.now()
    await mesh.publish(BULLETIN_TOPIC, message).catch((error: unknown) => {
      log.debug('a bulletin was not published', { error: describeError(error) })
    })
  }

  #hear(message: Uint8Array, peerId: string): void {
    if (peerId === this.#parts.mesh.self.peerId) return
    const member = this.#members.ofPeer(peerId)
    if (member === undefined) this.#refusals.refuse('stranger', { peerId }, 0)
    else this.#follower.hear(message, member)
  }
}
