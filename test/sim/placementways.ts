/** Ways to choose the pages that each host keeps; the policy is one. Resident pages are not kept. */
import type { Prefixes } from '../../src/page/index.ts'
import { fetchGuestsMin, planPlacement, type Plan } from '../../src/placement/policy.ts'
import { TailOwners } from '../../src/placement/tailowners.ts'
import type { PageKind } from '../../src/store/index.ts'
import type { Chance } from '../support/chance.ts'
import { shuffled } from '../support/random.ts'
import { prefixHigh, prefixLow } from './held.ts'
import type { ClusterLook } from './placementcluster.ts'

export interface PolicySettings {
  headShare: number
  tailCopies: number
}

/** The stored pages of a host, as contents of the model. */
export type KeptPages = Map<number, PageKind>

/** The real policy, for one host with an exact view that already keeps `kept`. */
export function planFor(
  look: ClusterLook, host: number, { headShare, tailCopies, budgetPages, kept }: PolicySettings & {
    budgetPages: number
    kept: KeptPages
  },
): Plan {
  const names = Array.from({ length: look.hosts }, (_, index) => `host-${index}`)
  const self = names[host]!
  const owners = new TailOwners({ self, others: names.filter((name) => name !== self), copies: tailCopies })
  let asked = 0
  const steps = planPlacement({
    view: {
      pages: look.popular.length,
      forEach(visit) {
        for (const page of look.popular) {
          const content = look.contents[page]!
          visit(prefixHigh(content), prefixLow(content), look.guestsOf[page]!, look.hostsOf[page]!)
        }
      },
    },
    store: {
      pages: kept.size,
      forEach(visit) {
        for (const [content, kind] of kept) visit(prefixHigh(content), prefixLow(content), kind, 0)
      },
    },
    budgetPages, headShare, guestsMin: fetchGuestsMin(look.hosts),
    // Called page by page, in the order of the view.
    isResident: () => look.residentAt[host]!.has(look.popular[asked++]!),
    isGivenUp: () => false,
    isOwned: (_high, low) => owners.owns(low),
  })
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The contents of prefixes. */
export function contentsOf({ high, low, count }: Prefixes): number[] {
  return Array.from({ length: count }, (_, index) => high[index]! * 2 ** 21 + (low[index]! >>> 11))
}

/** The pages that each host keeps, within the budget. */
export type Way = (host: number) => number[]

export function byPolicy(look: ClusterLook, budgetPages: number, settings: PolicySettings): Way {
  return (host) => {
    const { fetch } = planFor(look, host, { ...settings, budgetPages, kept: new Map() })
    return contentsOf(fetch).map((content) => look.pageOf(content))
  }
}

export function atRandom(look: ClusterLook, budgetPages: number, chance: Chance): Way {
  return (host) => shuffled([...look.popular.filter((page) => !look.residentAt[host]!.has(page))],
    () => chance.fraction()).slice(0, budgetPages)
}

/** All pages of the guests that left last; each may be any guest that is elsewhere now. */
export function mostRecent(
  look: ClusterLook, budgetPages: number, chance: Chance, hostOf: (guest: number) => number,
): Way {
  return (host) => {
    const kept = new Set<number>()
    for (let tries = 0; kept.size < budgetPages && tries < look.pagesOf.length; tries++) {
      const guest = chance.below(look.pagesOf.length)
      if (hostOf(guest) === host) continue
      for (const page of look.pagesOf[guest]!) {
        if (kept.size < budgetPages && !look.residentAt[host]!.has(page)) kept.add(page)
      }
    }
    return [...kept]
  }
}

/** The optimum for a guest drawn from all that are elsewhere: the pages that most of them hold. */
export function optimal(look: ClusterLook, budgetPages: number): Way {
  const ranked = Uint32Array.from({ length: look.contents.length }, (_, page) => page)
    .sort((one, other) => look.guestsOf[other]! - look.guestsOf[one]!)
  return (host) => {
    const kept: number[] = []
    for (let i = 0; i < ranked.length && kept.length < budgetPages; i++) {
      if (!look.residentAt[host]!.has(ranked[i]!)) kept.push(ranked[i]!)
    }
    return kept
  }
}

/** All popular pages: more than any host keeps, so that some peer has all that any peer could have. */
export function everything(look: ClusterLook): Way {
  return (host) => [...look.popular.filter((page) => !look.residentAt[host]!.has(page))]
}
