import type { Census } from '../census/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { PageHasher, Prefixes } from '../page/index.ts'
import type { Popularity } from '../popularity/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError } from '../runtime/errors.ts'
import type { HoldFlag } from '../runtime/holdflag.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import { nextTurn } from '../runtime/turn.ts'
import type { Store } from '../store/index.ts'
import type { Swap } from '../swap/index.ts'
import { Due, type Sight } from './due.ts'
import { Filling } from './filling.ts'
import { MissedPages } from './missed.ts'
import { HEAD_SHARE, planPlacement, TAIL_COPIES, type Plan } from './policy.ts'
import { stableResidents } from './residents.ts'
import { TailOwners } from './tailowners.ts'

/** How long the list of members is cached, ms: owners are queried page by page. */
const MEMBERS_MS = 1_000

export interface RoundsComponents {
  clock: Clock
  random: Random
  log: Log
  hasher: PageHasher
  mesh: Pick<Mesh, 'self' | 'members'>
  census: Pick<Census, 'all' | 'settled'>
  popularity: Pick<Popularity, 'view'>
  store: Store
  swap: Swap
  hold: HoldFlag
}

/** Plans which pages this host should keep and fetches them, in rounds, one at a time. */
export class Rounds {
  readonly #components: RoundsComponents
  readonly #due: Due
  readonly #missed = new MissedPages()
  #filling: Filling | undefined
  /** The cached owners, and when their members were read. */
  #lastOwners: TailOwners | undefined
  #ownersAt = 0
  #running: Promise<void> | undefined
  #abort = new AbortController()
  #timer: Timer | undefined

  constructor(components: RoundsComponents, init: { intervalMs: number }) {
    this.#components = components
    this.#due = new Due(components, init)
  }

  /** Pages still to be fetched; at least one while a further plan is expected. */
  get pending(): number {
    const pending = this.#filling?.pending ?? 0
    return this.#timer !== undefined && this.#due.isAwaited(this.#look()) ? Math.max(1, pending) : pending
  }

  get givenUp(): number {
    return this.#filling?.givenUp ?? 0
  }

  /** Kept pages of head and tail that are not wanted. */
  get surplus(): number {
    return this.#filling?.surplus ?? 0
  }

  takeSurplus(countMax: number): Prefixes {
    return this.#filling?.takeSurplus(countMax) ?? { count: 0, high: new Uint32Array(0), low: new Uint32Array(0) }
  }

  /** Other hosts that are known to hold the page, and its owners in the tail. */
  holdersOf(high: number, low: number): string[] {
    const now = this.#components.clock.now()
    if (this.#lastOwners === undefined || now - this.#ownersAt >= MEMBERS_MS) {
      this.#lastOwners = this.#owners()
      this.#ownersAt = now
    }
    return this.#holdersOf(this.#lastOwners, high, low)
  }

  start(): void {
    const { clock, store } = this.#components
    if (this.#timer !== undefined || store.pagesMax === 0) return
    this.#abort = new AbortController()
    this.#due.begin()
    this.#timer = clock.every(this.#due.lookMs, () => this.#tick())
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#abort.abort(new Error('the agent stops'))
    await this.#running
    this.#filling = undefined
  }

  #tick(): void {
    if (this.#running !== undefined || !this.#due.look(this.#look())) return
    const { signal } = this.#abort
    this.#running = this.#round(signal).catch((error: unknown) => {
      this.#filling?.giveUp()
      this.#due.rest()
      if (!signal.aborted) this.#components.log.warn('a round of placement failed', { error: describeError(error) })
    }).finally(() => { this.#running = undefined })
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { clock, log, store, popularity: { view }, hold } = this.#components
    await hold.released(clock, signal)
    const owners = this.#owners()
    const viewPages = view.pages
    const plan = await this.#plan(owners, signal)
    const filling = new Filling(this.#components, plan)
    this.#filling = filling
    this.#due.planned(viewPages)
    const keptBefore = store.pages
    const ending = await filling.run({
      holdersOf: (high, low) => this.#holdersOf(owners, high, low),
      onMissing: (high, low) => this.#missed.add(high, low),
      signal,
      until: this.#due.nextAt,
    })
    if (ending === 'hopeless') {
      filling.giveUp()
      this.#due.rest()
    } else {
      this.#due.succeeded(ending === 'late')
    }
    if (plan.fetch.count === 0) return
    log.info('pages were placed', {
      wanted: plan.wanted, asked: plan.fetch.count, missing: filling.givenUp, ending, keptBefore, kept: store.pages,
    })
  }

  async #plan(owners: TailOwners, signal: AbortSignal): Promise<Plan> {
    const { clock, store, census, popularity: { view }, hold } = this.#components
    this.#missed.age()
    const steps = planPlacement({
      view, store, budgetPages: store.pagesMax, headShare: HEAD_SHARE,
      isResident: stableResidents(census.all(), view.pages),
      isGivenUp: (high, low) => this.#missed.has(high, low),
      isOwned: (_high, low) => owners.owns(low),
    })
    for (;;) {
      const step = steps.next()
      if (step.done === true) return step.value
      await nextTurn()
      await hold.released(clock, signal)
      signal.throwIfAborted()
    }
  }

  #holdersOf(owners: TailOwners, high: number, low: number): string[] {
    const { popularity: { view }, mesh } = this.#components
    return [...new Set([...view.holdersOf(high, low), ...owners.othersOf(low)])]
      .filter((name) => name !== mesh.self.name)
  }

  #owners(): TailOwners {
    const { mesh } = this.#components
    const others = mesh.members().map(({ name }) => name)
    return new TailOwners({ self: mesh.self.name, others, copies: TAIL_COPIES })
  }

  #look(): Sight {
    const { popularity: { view }, mesh, census, store } = this.#components
    return {
      viewPages: view.pages, hasMembers: mesh.members().length > 0,
      isScanned: census.settled, isFilled: store.pages > 0,
    }
  }
}
