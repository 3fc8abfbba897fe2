/** Pages, groups and members as the tests of this folder make and read them. */
import type { Member } from '../../../src/mesh/index.ts'
import type { PrefixRun } from '../../../src/page/index.ts'
import { createGroup, type BulletinGroup } from '../../../src/popularity/bulletin/bulletingroups.ts'
import type { HeldPages } from '../../../src/popularity/index.ts'
import { SliceOwners } from '../../../src/popularity/owners.ts'
import { HOLDERS_MAX, PopularRun } from '../../../src/popularity/popularrun.ts'
import { ReportGroups } from '../../../src/popularity/report/reportgroups.ts'
import { highOf, lowOf, REST_BITS } from '../../../src/popularity/slice.ts'
import { PagemeshError } from '../../../src/runtime/errors.ts'
import { SLICE_KEY } from '../../sim/host.ts'

/** A group of a report: pages as rest and guests. */
export interface ReportedGroup {
  slice: number
  isWhole: boolean
  pages: readonly (readonly [rest: number, guests: number])[]
}

export function groupsOf(list: readonly ReportedGroup[]): ReportGroups {
  const groups = new ReportGroups()
  for (const { slice, isWhole, pages } of list) {
    groups.begin(slice, isWhole)
    for (const [rest, guests] of pages) groups.push(rest, guests)
  }
  return groups
}

export function listOf(groups: ReportGroups): ReportedGroup[] {
  return Array.from({ length: groups.groupCount }, (_, group) => ({
    slice: groups.slices[group]!, isWhole: groups.wholes[group] === 1,
    pages: Array.from({ length: groups.ends[group]! - groups.startOf(group) }, (_, page) =>
      [groups.rests[groups.startOf(group) + page]!, groups.guests[groups.startOf(group) + page]!] as const),
  }))
}

/** A page of a PopularRun. */
export interface PopularPage {
  rest: number
  guests: number
  hosts: number
  holders?: readonly number[]
}

export function popularRunOf(pages: readonly PopularPage[]): PopularRun {
  const run = new PopularRun(0)
  for (const { rest, guests, hosts, holders = [] } of pages) {
    const index = run.push(rest, guests, hosts)
    run.holders.set(holders, index * HOLDERS_MAX)
  }
  return run
}

/** The pages of a run, each with all its places for holders. */
export function popularPagesOf({ count, rests, guests, hosts, holders }: PopularRun): Required<PopularPage>[] {
  return Array.from({ length: count }, (_, page) => ({
    rest: rests[page]!, guests: guests[page]!, hosts: hosts[page]!,
    holders: [...holders.subarray(page * HOLDERS_MAX, (page + 1) * HOLDERS_MAX)],
  }))
}

export function bulletinGroup(group: Omit<BulletinGroup, 'pages'>, pages: readonly PopularPage[]): BulletinGroup {
  return { ...createGroup(group), pages: popularRunOf(pages) }
}

/** Rests that differ, in rising order, from numbers in [0, 1). */
export function restsOf(random: () => number, count: number): number[] {
  const rests = new Set<number>()
  const half = (): number => Math.floor(random() * 2 ** (REST_BITS / 2))
  while (rests.size < count) rests.add(half() * 2 ** (REST_BITS / 2) + half())
  return [...rests].sort((a, b) => a - b)
}

/** The owners of slices among hosts of these names. */
export function ownersOf(names: readonly string[]): SliceOwners {
  const owners = new SliceOwners({ key: SLICE_KEY })
  owners.update(membersNamed(names))
  return owners
}

export function membersNamed(names: readonly string[]): Member[] {
  return names.map(memberNamed)
}

export function memberNamed(name: string): Member {
  return { name, peerId: `memory-${name}`, address: `/memory/${name}` }
}

/** What a host holds: pages by slice and rest, to be changed at will. */
export class HeldList implements HeldPages {
  generation = 0
  readonly #pages = new Map<string, { high: number; low: number; guests: number }>()
  #sorted: { high: number; low: number; guests: number }[] | undefined

  /** Sets how many guests hold a page; none if 0. */
  set(slice: number, rest: number, guests: number): void {
    const page = { high: highOf(slice, rest), low: lowOf(rest), guests }
    if (guests === 0) this.#pages.delete(`${page.high} ${page.low}`)
    else this.#pages.set(`${page.high} ${page.low}`, page)
    this.generation += 1
    this.#sorted = undefined
  }

  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun): void {
    this.#sorted ??= [...this.#pages.values()].sort((a, b) => a.high - b.high || a.low - b.low)
    let index = this.#firstFrom(firstHigh)
    for (; index < this.#sorted.length && this.#sorted[index]!.high <= lastHigh; index++) {
      const { high, low, guests } = this.#sorted[index]!
      into.push(high, low, guests)
    }
  }

  #firstFrom(high: number): number {
    let from = 0
    let to = this.#sorted!.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#sorted![middle]!.high < high) from = middle + 1
      else to = middle
    }
    return from
  }
}

/** Whether an error is a refusal by a decoder, with this code and, if it is given, for this reason. */
export function isRefusal(code: string, reason?: string): (error: unknown) => boolean {
  return (error) => error instanceof PagemeshError && error.code === code && error.fault === 'peer' &&
    (reason === undefined ? typeof error.data['reason'] === 'string' : error.data['reason'] === reason)
}

/**
 * Whether what was said of a page is as close to what it is as a publisher promises: counts within an eighth, holders
 * mostly right.
 */
export function isClose(said: PopularPage, wanted: PopularPage): boolean {
  const moved = (before: number, now: number): boolean => Math.abs(now - before) > before / 8
  const common = (said.holders ?? []).filter((tag) => tag !== 0 && wanted.holders?.includes(tag)).length
  return said.rest === wanted.rest && !moved(said.hosts, wanted.hosts) && !moved(said.guests, wanted.guests) &&
    common >= Math.min(2, wanted.hosts)
}
