/** Views, stores and plans as the tests of this folder make and read them: a page is a number. */
import type { Prefixes } from '../../../src/page/index.ts'
import { planPlacement, type Plan, type PlanInput } from '../../../src/placement/policy.ts'
import { TailOwners } from '../../../src/placement/tailowners.ts'
import type { PageKind } from '../../../src/store/index.ts'

/** Guests and hosts that hold each popular page. */
export type MadeView = Map<number, { guests: number; hosts: number }>
export type MadeStore = Map<number, PageKind>

/** Prefixes of pages, in the order of their numbers; the low half is mixed, as that of a hash. */
export function highOf(page: number): number {
  return page * 4096
}

export function lowOf(page: number): number {
  return Math.imul(page + 1, 0x9e3779b1) >>> 0
}

export function pagesIn({ high, count }: Prefixes): number[] {
  return Array.from(high.subarray(0, count), (value) => value / 4096)
}

export function viewOf(pages: MadeView): PlanInput['view'] {
  const rising = [...pages].sort(([one], [other]) => one - other)
  return {
    pages: pages.size,
    forEach(visit) {
      for (const [page, { guests, hosts }] of rising) visit(highOf(page), lowOf(page), guests, hosts)
    },
  }
}

export function storeOf(pages: MadeStore): PlanInput['store'] {
  return {
    pages: pages.size,
    forEach(visit) {
      for (const [page, kind] of pages) visit(highOf(page), lowOf(page), kind, 0)
    },
  }
}

export interface Settings {
  view: MadeView
  store?: MadeStore
  budgetPages: number
  headShare?: number
  resident?: ReadonlySet<number>
  givenUp?: ReadonlySet<number>
  self?: string
  members?: readonly string[]
  copies?: number
  guestsMin?: number
}

export function plan(settings: Settings): Plan {
  const { view, store = new Map(), budgetPages, headShare = 0.75, resident, givenUp, self = 'a' } = settings
  const members = settings.members ?? ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']
  const others = members.filter((name) => name !== self)
  const owners = new TailOwners({ self, others, copies: settings.copies ?? 2 })
  const steps = planPlacement({
    view: viewOf(view), store: storeOf(store), budgetPages, headShare, guestsMin: settings.guestsMin ?? 0,
    isResident: (high) => resident?.has(high / 4096) ?? false,
    isGivenUp: (high) => givenUp?.has(high / 4096) ?? false,
    isOwned: (_high, low) => owners.owns(low),
  })
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** What is kept when all that a plan says was done; a store that is full gives up what guests left, then surplus. */
export function carriedOut(store: MadeStore, made: Plan, budgetPages: number): MadeStore {
  const after = new Map(store)
  for (const page of pagesIn(made.surplus).slice(0, made.dropCount)) after.delete(page)
  for (const planned of [made.claim, made.fetch]) {
    for (const [place, page] of pagesIn(planned).entries()) after.set(page, place < planned.headCount ? 'head' : 'tail')
  }
  for (const [page, kind] of after) if (after.size > budgetPages && kind === 'departed') after.delete(page)
  return after
}
