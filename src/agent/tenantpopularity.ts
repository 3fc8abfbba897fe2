import type { Census } from '../census/index.ts'
import { Circle, type Mesh, type Standing, type Unsubscribe } from '../mesh/index.ts'
import { PUBLIC_TENANT, SHARED_TENANT, type PageScopes } from '../page/index.ts'
import {
  createPopularity, joinPopularity, type HeldPages, type Popularity, type PopularityInit, type PopularityView,
} from '../popularity/index.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Log } from '../runtime/log.ts'
import type { Random } from '../runtime/random.ts'
import type { Confirm } from '../swap/index.ts'

interface Parts {
  clock: Clock
  random: Random
  log: Log
  mesh: Mesh
  standing: Standing
  census: Census
  scopes: Pick<PageScopes, 'tenants'>
}

/**
 * The popularity of each tenant's pages, among the hosts that have that tenant alone: no host is told of pages that it
 * could not verify, and `minHosts` counts within a tenant. The shared tenant is on all hosts, those of versions without
 * tenants among them. `publicView`: what is popular of public pages; undefined where the host lacks that tenant.
 */
export function createTenantPopularity(
  parts: Parts, init: PopularityInit,
): { popularity: Popularity; publicView: PopularityView | undefined } {
  const { tenants } = parts.scopes
  const own = { ...init, maxPages: Math.ceil(init.maxPages / tenants.length) }
  const all = tenants.map((tenant) => {
    const held = heldBy(tenant, parts.census)
    if (tenant === SHARED_TENANT) return createPopularity({ ...parts, held }, own)
    const circle = new Circle(parts, { name: tenant })
    const minHosts = tenant === PUBLIC_TENANT ? 1 : init.minHosts
    return within(circle, createPopularity({ ...parts, mesh: circle, held }, { ...own, minHosts }))
  })
  return { popularity: joinPopularity(all), publicView: all[tenants.indexOf(PUBLIC_TENANT)]?.view }
}

function heldBy(tenant: string, census: Census): HeldPages {
  return {
    get generation() {
      return census.generation
    },
    stablePages: (firstHigh, lastHigh, into) => census.stablePages(firstHigh, lastHigh, into, tenant),
  }
}

/**
 * Pages that a public guest of this host holds may leave it at once; others when enough hosts have proven to hold them.
 */
export function exceptPublic(census: Pick<Census, 'has'>, confirm: Confirm): Confirm {
  return async (pages, by) => {
    const { count, high, low } = pages
    const isPublic = Uint8Array.from({ length: count }, (_, page) => {
      return census.has(high[page]!, low[page]!, 64, PUBLIC_TENANT) ? 1 : 0
    })
    if (!isPublic.includes(0)) return isPublic
    const proven = await confirm(pages, by)
    return isPublic.map((may, page) => may | proven[page]!)
  }
}

/** The same, which takes part in the circle while it runs. */
function within(circle: Circle, popularity: Popularity): Popularity {
  let leave: Unsubscribe | undefined
  return {
    view: popularity.view,
    get viewAgeMs() {
      return popularity.viewAgeMs
    },
    traffic: popularity.traffic,
    get refusals() {
      return popularity.refusals
    },
    get sizes() {
      return popularity.sizes
    },
    standBack: () => popularity.standBack(),
    rekey: (sliceKey) => popularity.rekey(sliceKey),
    async start() {
      leave ??= circle.join()
      await popularity.start()
    },
    async stop() {
      leave?.()
      leave = undefined
      await popularity.stop()
    },
  }
}
