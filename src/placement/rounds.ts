import type { Census } from '../census/index.ts'
import type { Mesh } from '../mesh/index.ts'
import type { PageVerifier, Prefixes } from '../page/index.ts'
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
import { Exchange } from './exchange.ts'
import { Filling } from './filling.ts'
import type { Holders } from './holders.ts'
import { MissedPages } from './missed.ts'
import { fetchGuestsMin, HEAD_SHARE, planPlacement, type Plan } from './policy.ts'
import { stableResidents } from './residents.ts'

export interface RoundsComponents {
  clock: Clock
  random: Random
  log: Log
  hasher: PageVerifier
  mesh: Pick<Mesh, 'members'>
  holders: Pick<Holders, 'owners' | 'of'>
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
  #exchange: Exchange | undefined
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

  /** What the last plan's kept pages may be exchanged for; undefined if there is no plan yet. */
  get exchange(): Exchange | undefined {
    return this.#exchange
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
    this.#exchange = undefined
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
    const { clock, log, store, popularity: { view }, holders, hold } = this.#components
    await hold.released(clock, signal)
    const viewPages = view.pages
    const plan = await this.#plan(signal)
    const filling = new Filling(this.#components, plan)
    this.#filling = filling
    this.#exchange = new Exchange(plan.least)
    this.#due.planned(viewPages)
    const keptBefore = store.pages
    const ending = await filling.run({
      holdersOf: (high, low) => holders.of(high, low),
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

  async #plan(signal: AbortSignal): Promise<Plan> {
    const { clock, store, census, popularity: { view }, holders, hold, mesh } = this.#components
    const owners = holders.owners()
    this.#missed.age()
    const steps = planPlacement({
      view, store, budgetPages: store.pagesMax, headShare: HEAD_SHARE,
      guestsMin: fetchGuestsMin(mesh.members().length + 1),
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

  #look(): Sight {
    const { popularity: { view }, mesh, census, store } = this.#components
    return {
      viewPages: view.pages, hasMembers: mesh.members().length > 0,
      isScanned: census.settled, isFilled: store.pages > 0,
    }
  }
}
