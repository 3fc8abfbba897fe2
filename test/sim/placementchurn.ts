import { SyntheticCluster } from '../../peers/model.ts'
import { Exchange } from '../../src/placement/exchange.ts'
import { HEAD_SHARE, TAIL_COPIES } from '../../src/placement/policy.ts'
import { Chance } from '../support/chance.ts'
import { ClusterLook, drawGuests, type ClusterInit, type PlacedGuest } from './placementcluster.ts'
import { drawMigrations, measure, MIGRATIONS_MAX } from './placementmeasure.ts'
import { BUDGET_SHARES, budgetOf } from './placementtrial.ts'
import { contentsOf, optimal, planFor, type KeptPages, type Way } from './placementways.ts'

/** Chances of an event for a guest in one interval: those of the day scenario. */
const RATES = { replaced: 1 / 240, moves: 1 / 240, reboots: 1 / 480 }
/** Stores fill during this time. */
const WARM_UP_INTERVALS = 5

export interface Churn {
  budgetShare: number
  budgetPages: number
  intervals: number
  /** Pages that a host fetched per interval after its store had filled. */
  fetchedPages: { mean: number; worst: number }
  /** The same, as a share of the budget. */
  fetchedShare: { mean: number; worst: number }
  /** The part of them that the host had dropped before. */
  fetchedAgainShare: number
  /** Share of a migrating guest's stable pages found at the destination at the end; and with optimal stores. */
  atDestination: number
  optimalAtDestination: number
  /**
   * Cost and value: pages fetched in the cluster per guest that came or moved, and per guest that moved, and stored
   * pages that a migration finds at its destination; what it saves in all is the last less the one before.
   */
  fetchedPerEvent: number
  fetchedPerMigration: number
  savedPerMigration: number
}

/** Guests come, go, move and reboot, and each host plans and fetches once per interval. */
export function churn(init: ClusterInit, intervals: number, say: (line: string) => void): Churn[] {
  const world = new ChurningWorld(init)
  const budgets = BUDGET_SHARES.map((share) => new ChurningBudget(share, budgetOf(init, share), init.hosts))
  for (let interval = 0; interval < WARM_UP_INTERVALS + intervals; interval++) {
    world.next()
    for (const budget of budgets) budget.keepDeparted(world.look, world.departed)
    for (const budget of budgets) budget.plan(world.look, interval >= WARM_UP_INTERVALS)
    if (interval % 10 === 9) say(`${interval + 1} intervals of churn`)
  }
  return budgets.map((budget) => budget.outcome(intervals, world))
}

class ChurningWorld {
  readonly #init: ClusterInit
  readonly #chance: Chance
  readonly #cluster: SyntheticCluster
  readonly guests: PlacedGuest[]
  /** The cluster now. */
  look: ClusterLook
  /** Guests that came or moved so far, and those that moved. */
  events = 0
  migrations = 0
  /** What the guests held that left a host in the last interval, as contents. */
  departed: { host: number; contents: number[] }[] = []
  #nextGuest: number
  #lookNumber = 10

  constructor(init: ClusterInit) {
    this.#init = init
    this.#chance = new Chance(init.seed).fork(7)
    this.#cluster = new SyntheticCluster({ seed: init.seed, pagesPerGuest: init.pages })
    this.guests = drawGuests(init)
    this.#nextGuest = this.guests.length
    this.look = new ClusterLook(this.guests, init.hosts, this.#lookNumber)
  }

  /** Lets an interval pass. */
  next(): void {
    const chance = this.#chance
    this.departed = []
    for (const [index, placed] of this.guests.entries()) {
      if (chance.happens(RATES.replaced)) {
        this.#depart(index)
        placed.guest = this.#cluster.guestOf(this.#nextGuest++)
        placed.host = chance.below(this.#init.hosts)
        this.events += 1
      } else if (chance.happens(RATES.moves)) {
        this.#depart(index)
        this.migrations += 1
        placed.host = chance.below(this.#init.hosts)
        this.events += 1
      } else if (chance.happens(RATES.reboots)) placed.guest.reboot()
    }
    this.#lookNumber += 1
    this.look = new ClusterLook(this.guests, this.#init.hosts, this.#lookNumber)
  }

  #depart(index: number): void {
    const { look, guests } = this
    this.departed.push({
      host: guests[index]!.host, contents: Array.from(look.pagesOf[index]!, (page) => look.contents[page]!),
    })
  }

  /** Share of the stable pages of migrating guests found at their destinations. */
  foundBy(way: Way): number {
    const { hosts } = this.#init
    const migrations = drawMigrations(this.guests, { hosts, countMax: MIGRATIONS_MAX, chance: this.#chance.fork(1) })
    return measure(this.look, this.guests, migrations, way).atDestination
  }
}

class ChurningBudget {
  readonly #share: number
  readonly #pages: number
  readonly #kept: KeptPages[]
  readonly #dropped: Set<number>[]
  /** Of the last plan of each host. */
  readonly #exchanges: Exchange[] = []
  #fetched = 0
  #worst = 0
  #fetchedAgain = 0

  constructor(share: number, pages: number, hosts: number) {
    this.#share = share
    this.#pages = pages
    this.#kept = Array.from({ length: hosts }, () => new Map())
    this.#dropped = Array.from({ length: hosts }, () => new Set())
  }

  /** As departedkeeping.ts does: in free room, or in place of kept pages that are worth less. */
  keepDeparted(look: ClusterLook, departed: ChurningWorld['departed']): void {
    for (const { host, contents } of departed) {
      const kept = this.#kept[host]!
      const exchange = this.#exchanges[host]
      const oldest = [...kept.keys()].filter((content) => kept.get(content) === 'departed').values()
      for (const content of contents) {
        if (kept.has(content)) continue
        if (kept.size >= this.#pages) kept.delete(oldest.next().value ?? NaN)
        const page = look.pageOf(content)
        const isHere = look.residentAt[host]!.has(page)
        const isPopular = look.contents[page] === content && look.hostsOf[page]! > 1
        if (kept.size < this.#pages) kept.set(content, 'departed')
        else if (isPopular && !isHere && exchange?.mayReplace(look.guestsOf[page]!) === true) {
          const [high, low] = exchange.take()
          kept.delete(contentsOf({ high: Uint32Array.of(high), low: Uint32Array.of(low), count: 1 })[0]!)
          kept.set(content, 'head')
        }
      }
    }
  }

  plan(look: ClusterLook, isCounted: boolean): void {
    const settings = { headShare: HEAD_SHARE, tailCopies: TAIL_COPIES, budgetPages: this.#pages }
    for (const [host, kept] of this.#kept.entries()) {
      const plan = planFor(look, host, { ...settings, kept })
      const dropped = this.#dropped[host]!
      for (const content of contentsOf(plan.surplus).slice(0, plan.dropCount)) {
        kept.delete(content)
        dropped.add(content)
      }
      for (const pages of [plan.claim, plan.fetch]) {
        for (const [place, content] of contentsOf(pages).entries()) {
          kept.set(content, place < pages.headCount ? 'head' : 'tail')
          if (dropped.delete(content) && isCounted) this.#fetchedAgain += 1
        }
      }
      for (const [content, kind] of kept) if (kept.size > this.#pages && kind === 'departed') kept.delete(content)
      this.#exchanges[host] = new Exchange(plan.least)
      if (!isCounted) continue
      this.#fetched += plan.fetch.count
      this.#worst = Math.max(this.#worst, plan.fetch.count)
    }
  }

  outcome(intervals: number, world: ChurningWorld): Churn {
    const { look } = world
    const keptAt: Way = (host) => [...this.#kept[host]!.keys()].flatMap((content) => {
      const page = look.pageOf(content)
      return look.contents[page] === content ? [page] : []
    })
    const [atDestination, ofResident] = [world.foundBy(keptAt), world.foundBy(() => [])]
    const stablePages = look.pagesOf.reduce((sum, { length }) => sum + length, 0) / look.pagesOf.length
    const counted = intervals / (intervals + WARM_UP_INTERVALS)
    const turns = intervals * this.#kept.length
    const mean = this.#fetched / turns
    return {
      budgetShare: this.#share, budgetPages: this.#pages, intervals,
      fetchedPages: { mean, worst: this.#worst },
      fetchedShare: { mean: mean / this.#pages, worst: this.#worst / this.#pages },
      fetchedAgainShare: this.#fetchedAgain / turns / this.#pages,
      atDestination, optimalAtDestination: world.foundBy(optimal(look, this.#pages)),
      fetchedPerEvent: this.#fetched / (world.events * counted),
      fetchedPerMigration: this.#fetched / (world.migrations * counted),
      savedPerMigration: (atDestination - ofResident) * stablePages,
    }
  }
}
