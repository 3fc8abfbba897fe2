import { MODEL } from '../../peers/model.ts'
import { HEAD_SHARE, TAIL_COPIES } from '../../src/placement/policy.ts'
import { Chance } from '../support/chance.ts'
import { ClusterLook, drawGuests, type ClusterInit, type PlacedGuest } from './placementcluster.ts'
import {
  drawMigrations, measure, MIGRATIONS_MAX, unboundAtPeer, type Found, type Migration,
} from './placementmeasure.ts'
import { atRandom, byPolicy, everything, mostRecent, optimal, type Way } from './placementways.ts'

/** Budgets, as shares of a host's memory. */
export const BUDGET_SHARES = [0.01, 0.05, 0.1]
/** How far the policy may stay below the optimum, as a share of the pages. */
export const BELOW_OPTIMUM_MAX = 0.05
/** Any look of the model will do, if there was one before. */
const LOOK = 10
/** Settings to try besides the policy's own. */
const HEAD_SHARES = [0, 0.5, 0.75, 0.9, 1]
const TAIL_COPIES_TRIED = [1, 2, 3]

export interface Budget {
  share: number
  pages: number
  /** Resident pages only. */
  none: Found
  random: Found
  recent: Found
  policy: Found
  /** At the destination: the best set for each host. At a peer: all popular pages kept everywhere. */
  optimum: Found
  /** Share at some peer, if pages of a single host were spread too. */
  unboundAtPeer: number
}

export interface TriedSettings {
  budgetShare: number
  headShare: number
  tailCopies: number
  found: Found
}

export interface Trial extends ClusterInit {
  migrations: number
  popularPages: number
  headShare: number
  tailCopies: number
  budgets: Budget[]
  settings: TriedSettings[]
}

/** Places pages in a cluster in each way, and lets guests migrate. */
export function tryPlacement(init: ClusterInit, isThorough: boolean, say: (line: string) => void): Trial {
  const guests = drawGuests(init)
  const look = new ClusterLook(guests, init.hosts, LOOK)
  const chance = new Chance(init.seed)
  const { hosts } = init
  const migrations = drawMigrations(guests, { hosts, countMax: MIGRATIONS_MAX, chance: chance.fork(1) })
  const world: World = { init, look, guests, migrations }
  say(`${look.contents.length} pages, ${look.popular.length} of them popular`)
  const budgets = BUDGET_SHARES.map((share) => {
    say(`budget of ${share * 100} %`)
    return tryBudget(world, share, chance)
  })
  const settings = isThorough ? BUDGET_SHARES.flatMap((share) => trySettings(world, share, say)) : []
  return {
    ...init, migrations: migrations.length, popularPages: look.popular.length,
    headShare: HEAD_SHARE, tailCopies: TAIL_COPIES, budgets, settings,
  }
}

interface World {
  init: ClusterInit
  look: ClusterLook
  guests: PlacedGuest[]
  migrations: Migration[]
}

/** Pages of a budget: a host's memory is that of its guests, zero pages included. */
export function budgetOf({ guests, pages }: ClusterInit, share: number): number {
  return Math.floor((share * guests * pages) / (1 - MODEL.zeroShare))
}

function tryBudget({ init, look, guests, migrations }: World, share: number, chance: Chance): Budget {
  const pages = budgetOf(init, share)
  const found = (way: Way): Found => measure(look, guests, migrations, way)
  const policy = found(byPolicy(look, pages, { headShare: HEAD_SHARE, tailCopies: TAIL_COPIES }))
  const all = found(everything(look))
  return {
    share, pages,
    none: found(() => []),
    random: found(atRandom(look, pages, chance.fork(2))),
    recent: found(mostRecent(look, pages, chance.fork(3), (guest) => guests[guest]!.host)),
    policy,
    optimum: { ...found(optimal(look, pages)), atPeer: all.atPeer, atFewPeers: all.atFewPeers },
    unboundAtPeer: unboundAtPeer(look, pages),
  }
}

function trySettings(
  { init, look, guests, migrations }: World, budgetShare: number, say: (line: string) => void,
): TriedSettings[] {
  const pages = budgetOf(init, budgetShare)
  return HEAD_SHARES.flatMap((headShare) => TAIL_COPIES_TRIED.map((tailCopies) => {
    say(`budget of ${budgetShare * 100} %: head share ${headShare}, tail copies ${tailCopies}`)
    const found = measure(look, guests, migrations, byPolicy(look, pages, { headShare, tailCopies }))
    return { budgetShare, headShare, tailCopies, found }
  }))
}
