import { HOLDERS_MAX, type PopularRun } from '../popularrun.ts'

/** A count that changed by less than this share is not gossiped. */
const NOTICED_SHARE = 1 / 8
/** A page is gossiped again when fewer of its named holders than this still hold it. */
const HOLDERS_RIGHT_MIN = 2

/**
 * The changes that turn `published` into `wanted`: pages that are new or whose counts changed noticeably, and pages
 * that are no longer popular (hosts 0, with their old guests). Both inputs and `into` are in rising order.
 */
export function difference(published: PopularRun, wanted: PopularRun, into: PopularRun): void {
  let page = 0
  for (let other = 0; page < published.count || other < wanted.count;) {
    const rest = page < published.count ? published.rests[page]! : Infinity
    const wantedRest = other < wanted.count ? wanted.rests[other]! : Infinity
    if (rest < wantedRest) into.push(rest, published.guests[page]!, 0)
    else if (wantedRest < rest || isNoticeable(published, page, wanted, other)) into.copy(wanted, other)
    if (rest <= wantedRest) page += 1
    if (wantedRest <= rest) other += 1
  }
}

/** The pages of `run` after `changes`, as a new run that is no larger than necessary. */
export function applied(run: PopularRun, changes: PopularRun, into: PopularRun): void {
  let page = 0
  for (let change = 0; page < run.count || change < changes.count;) {
    const rest = page < run.count ? run.rests[page]! : Infinity
    const changedRest = change < changes.count ? changes.rests[change]! : Infinity
    if (rest < changedRest) into.copy(run, page)
    else if (changes.hosts[change]! > 0) into.copy(changes, change)
    if (rest <= changedRest) page += 1
    if (changedRest <= rest) change += 1
  }
}

function isNoticeable(published: PopularRun, page: number, wanted: PopularRun, other: number): boolean {
  return hasMoved(published.hosts[page]!, wanted.hosts[other]!) ||
    hasMoved(published.guests[page]!, wanted.guests[other]!) ||
    commonHolders(published, page, wanted, other) < Math.min(HOLDERS_RIGHT_MIN, wanted.hosts[other]!)
}

function hasMoved(before: number, now: number): boolean {
  return Math.abs(now - before) > before * NOTICED_SHARE
}

function commonHolders(published: PopularRun, page: number, wanted: PopularRun, other: number): number {
  let common = 0
  for (let i = page * HOLDERS_MAX; i < (page + 1) * HOLDERS_MAX; i++) {
    for (let j = other * HOLDERS_MAX; j < (other + 1) * HOLDERS_MAX; j++) {
      if (published.holders[i] !== 0 && published.holders[i] === wanted.holders[j]) common += 1
    }
  }
  return common
}
