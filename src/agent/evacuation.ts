import type { Member, Mesh } from '../mesh/index.ts'
import type { Clock } from '../runtime/clock.ts'
import { asPagemeshError, describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { deferred, someAtOnce } from '../runtime/wait.ts'
import type { HandoffEstimate, HandoffProgress, HandoffResult } from '../transfer/index.ts'
import {
  bestOf, claim, hostsFor, inOrder, whyChosen, type Candidate, type Claims, type Evacuee,
} from './evacuationplan.ts'
import { lastStateOf, notOwn, type GuestList } from './guestlist.ts'
import type { Handoff, MigrateRequest } from './index.ts'
import type { Summaries } from './summaries.ts'
import type { HostSummary } from './summary.ts'

/** Guests whose destinations are asked for at once. */
const ASKED_AT_ONCE = 4

export interface EvacuateRequest extends Pick<MigrateRequest, 'mode' | 'maxDowntimeMs' | 'timeoutMs' | 'onTimeout'> {
  /** The hosts that guests may go to; left out: any. */
  to?: readonly string[]
  /** Guests that move at once, at most `handoff.parallel`. */
  parallel?: number
  /** Bytes a second on the wire, shared by those that move at once. */
  maxBandwidth?: number
  /** Only says where each guest would go. */
  dryRun?: boolean
  /** Begins no further guest; those that move do so to their end. */
  signal?: AbortSignal
  onNews?: (news: EvacuationNews) => void
}

/** How far a guest is, or what became of it. */
export type EvacuationNews = HandoffProgress | ({ event: 'evacuated'; done: number; total: number } & EvacuatedGuest)

export interface EvacuatedGuest {
  guest: string
  /** Where it went, or would go; null if no host takes it. */
  to: string | null
  /** Why there, as a sentence; the hosts' own word counts. */
  why?: string
  /** `planned` in a dry run. All but those that completed are here still, unless `reason` says otherwise. */
  status: 'completed' | 'failed' | 'cancelled' | 'planned'
  code?: string
  reason?: string
  estimate?: HandoffEstimate
  /** Of the last try. */
  result?: HandoffResult
}

export interface EvacuationResult {
  from: string
  dryRun: boolean
  status: 'completed' | 'failed' | 'cancelled'
  totalMs: number
  wireBytes: number
  guests: EvacuatedGuest[]
}

export interface EvacuationComponents {
  clock: Clock
  log: Log
  mesh: Mesh
  guests: GuestList
  summaries: Pick<Summaries, 'fresh'>
  /** What is known here of a guest's pages at a host, without asking it. Never rejects. */
  known(guest: string, host: string): Promise<Omit<Candidate, 'host'>>
  handoffs: {
    migrate(request: MigrateRequest): Handoff
    estimate(request: MigrateRequest, isWhole?: boolean): Promise<HandoffEstimate>
    unsettled(guest: string): PagemeshError | undefined
    /** While it is set, no guest may come. */
    isEvacuating: boolean
  }
}

/** A guest whose destination was found. */
interface Planned extends Evacuee {
  candidate: Candidate
  why: string
  /** Left out where there was nothing to choose. */
  estimate?: HandoffEstimate
}

/** A guest that no host takes, and why. */
type Homeless = Required<Pick<EvacuatedGuest, 'guest' | 'code' | 'reason'>>

/** Guests whose destinations were found, until somebody moves them: those first that most is known of there. */
class Found {
  readonly #guests: Planned[] = []
  #isWhole = false
  #news = deferred<void>()

  add(guest: Planned): void {
    this.#guests.push(guest)
    this.#tell()
  }

  /** No further guest is found. */
  end(): void {
    this.#isWhole = true
    this.#tell()
  }

  /** The next guest; undefined when there is none, and none is to come. */
  async take(): Promise<Planned | undefined> {
    while (this.#guests.length === 0 && !this.#isWhole) await this.#news.promise
    const [best] = inOrder(this.#guests)
    if (best !== undefined) this.#guests.splice(this.#guests.indexOf(best), 1)
    return best
  }

  #tell(): void {
    this.#news.resolve()
    this.#news = deferred()
  }
}

/** Hands every guest of this host to others: one run of `pagemesh evacuate`. */
export class Evacuation {
  readonly #components: EvacuationComponents
  readonly #request: EvacuateRequest
  readonly #found = new Found()
  /** Of guests on their way: those that have arrived show in what a host says later. */
  readonly #underWay: Claims = new Map()
  /** Of all guests but those that failed: none of them shows in what the hosts said at first. */
  readonly #sinceBegun: Claims = new Map()
  readonly #parallel: number
  #done = 0
  #total = 0

  constructor(components: EvacuationComponents, request: EvacuateRequest, { parallel }: { parallel: number }) {
    this.#components = components
    this.#request = request
    this.#parallel = Math.min(parallel, request.parallel ?? parallel)
  }

  /** Rejects only with PagemeshError `host-unknown` and `no-hosts`: what happens to guests is in the result. */
  async run(): Promise<EvacuationResult> {
    const { clock, mesh, guests } = this.#components
    const { dryRun = false, signal } = this.#request
    const begunAt = clock.now()
    const members = this.#members()
    await guests.refresh()
    const { evacuees, others } = this.#guests()
    this.#total = evacuees.length + others.length
    for (const other of others) this.#tell(other)
    const finding = this.#findAll(evacuees, members).finally(() => this.#found.end())
    const movers = Array.from({ length: this.#parallel }, () => dryRun ? this.#plan() : this.#moveNext(members))
    const [homeless, ...moved] = await Promise.all([finding, ...movers])
    const all = [...moved.flat(), ...homeless, ...others].sort(byName)
    const hasStayed = all.some(({ status }) => status !== 'completed' && status !== 'planned')
    return {
      from: mesh.self.name, dryRun, totalMs: Math.round(clock.now() - begunAt),
      status: !hasStayed ? 'completed' : signal?.aborted === true ? 'cancelled' : 'failed',
      wireBytes: all.reduce((sum, { result }) => sum + (result?.wireBytes ?? 0), 0),
      guests: all,
    }
  }

  /** The hosts that guests may go to. */
  #members(): Member[] {
    const { mesh } = this.#components
    const { to } = this.#request
    const members = mesh.members()
    const unknown = (to ?? []).filter((name) => !members.some((member) => member.name === name))
    if (unknown.length > 0) {
      throw new PagemeshError('host-unknown', `No host named ${unknown.join(', ')} is in the mesh.`, {
        fault: 'usage', phase: 'preparing', advice: `This host sees: ${members.map(({ name }) => name).join(', ')}.`,
      })
    }
    const chosen = members.filter(({ name }) => to === undefined || to.includes(name))
    if (chosen.length > 0) return chosen
    throw new PagemeshError('no-hosts', 'This host sees no other: there is nowhere to go.', {
      fault: 'usage', phase: 'preparing', advice: 'Check `bootstrap` and the cluster key, and `pagemesh status`.',
    })
  }

  /**
   * Guests of this host; those that a manager moves, that come, or that left and may not have arrived are told apart.
   * What waits here for a migration is none yet.
   */
  #guests(): { evacuees: Evacuee[]; others: EvacuatedGuest[] } {
    const evacuees: Evacuee[] = []
    const others: EvacuatedGuest[] = []
    for (const guest of this.#components.guests.all()) {
      const { name } = guest
      const state = lastStateOf(guest)
      const isAway = state === 'inmigrate' || state === 'postmigrate'
      const refusal = isAway ? this.#components.handoffs.unsettled(name) : notOwn(guest)
      if (isAway && refusal === undefined) continue
      if (refusal === undefined) {
        evacuees.push({ guest: name, ramBytes: guest.memory.blocks.reduce((sum, { bytes }) => sum + bytes, 0) })
      } else {
        others.push({ guest: name, to: null, status: 'failed', code: refusal.code, reason: describeError(refusal) })
      }
    }
    return { evacuees, others }
  }

  /** Finds destinations, a few at a time; returns the guests that have none. */
  async #findAll(evacuees: readonly Evacuee[], members: readonly Member[]): Promise<EvacuatedGuest[]> {
    const first = { hosts: await this.#look(members), claims: this.#sinceBegun }
    const homeless: EvacuatedGuest[] = []
    await someAtOnce(evacuees, ASKED_AT_ONCE, async (evacuee) => {
      const found = await this.#find(evacuee, first)
      if ('candidate' in found) this.#found.add(found)
      else homeless.push(this.#tell({ ...found, to: null, status: 'failed' }))
    })
    return homeless
  }

  /** What these hosts are at now. */
  async #look(members: readonly Member[]): Promise<HostSummary[]> {
    // The first of the answer is this host.
    return (await this.#components.summaries.fresh(members)).hosts.slice(1)
  }

  /** Chooses among these hosts, and claims the memory. */
  async #find(
    evacuee: Evacuee, seen: { hosts: readonly HostSummary[]; claims: Claims },
  ): Promise<Planned | Homeless> {
    const { guest, ramBytes } = evacuee
    const { hosts, claims } = seen
    const choice = hostsFor(evacuee, hosts, claims)
    if ('code' in choice) return { guest, code: choice.code, reason: choice.reason }
    if (choice.isOnly && this.#request.dryRun !== true) {
      // Nothing to choose: its handoff finds out whether it is accepted there.
      const host = choice.hosts[0]!
      this.#claim(host, ramBytes)
      const candidate = { host, ...await this.#components.known(guest, host) }
      return { guest, ramBytes, candidate, why: whyChosen(candidate, [], choice) }
    }
    const candidates: (Candidate & { estimate: HandoffEstimate })[] = []
    let refusal: PagemeshError | undefined
    for (const to of choice.hosts) {
      try {
        const estimate = await this.#components.handoffs.estimate({ ...this.#about(), guest, to })
        const { distinctPages, pagesAtDestination } = estimate
        candidates.push({ host: to, distinctPages, pagesAtDestination, estimate })
      } catch (error) {
        refusal = asPagemeshError(error)
      }
    }
    if (candidates.length === 0) return { guest, code: refusal!.code, reason: describeError(refusal!) }
    // Others have chosen meanwhile.
    const roomy = hostsFor(evacuee, hosts, claims)
    if ('code' in roomy) return { guest, code: roomy.code, reason: roomy.reason }
    const best = bestOf(candidates.filter(({ host }) => roomy.hosts.includes(host)), claims)
    if (best === undefined) {
      // Or a guest has failed on its way to a host that was not asked, which has room again.
      if (roomy.hosts.some((host) => !choice.hosts.includes(host))) return await this.#find(evacuee, seen)
      return { guest, code: refusal!.code, reason: describeError(refusal!) }
    }
    this.#claim(best.host, ramBytes)
    const { estimate } = candidates.find(({ host }) => host === best.host)!
    return { guest, ramBytes, candidate: best, estimate, why: whyChosen(best, candidates, choice) }
  }

  /** Where each guest would go. */
  async #plan(): Promise<EvacuatedGuest[]> {
    const planned: EvacuatedGuest[] = []
    for (let next = await this.#found.take(); next !== undefined; next = await this.#found.take()) {
      const { guest, candidate: { host: to }, why } = next
      const estimate = await this.#foresee(next)
      planned.push({ guest, to, why, status: 'planned', ...(estimate === undefined ? {} : { estimate }) })
    }
    return planned
  }

  /** What its handoff would come to; only which pages are there, if the guest or its destination has gone meanwhile. */
  async #foresee({ guest, candidate: { host: to }, estimate }: Planned): Promise<HandoffEstimate | undefined> {
    try {
      const asked = { ...this.#about(), ...this.#share(), guest, to, wait: true }
      return await this.#components.handoffs.estimate(asked, true)
    } catch (error) {
      this.#components.log.debug('what a handoff would come to is not known', { guest, error: describeError(error) })
      return estimate
    }
  }

  /** Moves one guest after the other, as long as there are any whose destination was found. */
  async #moveNext(members: readonly Member[]): Promise<EvacuatedGuest[]> {
    const moved: EvacuatedGuest[] = []
    for (let next = await this.#found.take(); next !== undefined; next = await this.#found.take()) {
      moved.push(this.#tell(await this.#move(next, members)))
    }
    return moved
  }

  /** Moves a guest; elsewhere, if its destination fails and the guest runs on here. */
  async #move({ guest, ramBytes, candidate, why }: Planned, members: readonly Member[]): Promise<EvacuatedGuest> {
    const { signal = new AbortController().signal } = this.#request
    if (signal.aborted) {
      const reason = 'Its handoff was not begun.'
      return { guest, to: candidate.host, why, status: 'cancelled', code: 'cancelled', reason }
    }
    let tried = await this.#handOff(guest, candidate.host, why, signal)
    const left = members.filter(({ name }) => name !== candidate.host)
    while (tried.status === 'failed' && !signal.aborted && left.length > 0 && await this.#runsHere(guest)) {
      const next = await this.#find({ guest, ramBytes }, { hosts: await this.#look(left), claims: this.#underWay })
      if (!('candidate' in next)) break
      const { host } = next.candidate
      this.#claim(tried.to!, -ramBytes)
      const { reason } = tried
      this.#components.log.warn('a guest goes elsewhere: its handoff failed', { guest, to: host, reason })
      left.splice(left.findIndex(({ name }) => name === host), 1)
      tried = await this.#handOff(guest, host, next.why, signal)
    }
    if (tried.status === 'completed') claim(this.#underWay, tried.to!, -ramBytes)
    else this.#claim(tried.to!, -ramBytes)
    return tried
  }

  #claim(host: string, bytes: number): void {
    claim(this.#underWay, host, bytes)
    claim(this.#sinceBegun, host, bytes)
  }

  /** One try. While it waits for its destination it may be given up; once it moves, it does so to its end. */
  async #handOff(guest: string, to: string, why: string, signal: AbortSignal): Promise<EvacuatedGuest> {
    const { onNews } = this.#request
    const moving = new AbortController()
    let isWaiting = true
    const giveUp = (): void => { if (isWaiting) moving.abort() }
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      const handoff = this.#components.handoffs.migrate({
        ...this.#about(), ...this.#share(), guest, to, wait: true, signal: moving.signal,
      })
      const result = await handoff.on('progress', (progress) => {
        isWaiting = progress.phase === 'queued'
        if (isWaiting && signal.aborted) moving.abort()
        onNews?.(progress)
      })
      const { status, code, reason } = result
      return {
        guest, to, why, status, result,
        ...(code === undefined ? {} : { code }), ...(reason === undefined ? {} : { reason }),
      }
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  /** Only of a guest that runs here is it certain that no copy of it is elsewhere. */
  async #runsHere(name: string): Promise<boolean> {
    const guest = this.#components.guests.find(name)
    try {
      return guest !== undefined && await guest.state() === 'running'
    } catch {
      // A QEMU that does not answer cannot move, either.
      return false
    }
  }

  #about(): Pick<MigrateRequest, 'mode' | 'maxDowntimeMs' | 'timeoutMs' | 'onTimeout'> {
    const { mode, maxDowntimeMs, timeoutMs, onTimeout } = this.#request
    return {
      ...(mode === undefined ? {} : { mode }), ...(maxDowntimeMs === undefined ? {} : { maxDowntimeMs }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }), ...(onTimeout === undefined ? {} : { onTimeout }),
    }
  }

  /** Of the wire, for each of those that move at once. */
  #share(): Pick<MigrateRequest, 'maxBandwidth'> {
    const { maxBandwidth } = this.#request
    return maxBandwidth === undefined ? {} : { maxBandwidth: Math.floor(maxBandwidth / this.#parallel) }
  }

  #tell(guest: EvacuatedGuest): EvacuatedGuest {
    this.#done += 1
    this.#request.onNews?.({ event: 'evacuated', done: this.#done, total: this.#total, ...guest })
    return guest
  }
}

function byName(one: EvacuatedGuest, other: EvacuatedGuest): number {
  return one.guest < other.guest ? -1 : 1
}
