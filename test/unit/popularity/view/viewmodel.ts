import { popularityRank, type PopularRun } from '../../../../src/popularity/popularrun.ts'
import type { ViewInit } from '../../../../src/popularity/view/view.ts'

export interface ModelPage {
  slice: number
  rest: number
  guests: number
  hosts: number
  holders: number[]
}

/** What a view should do, written as plainly as can be: a Map, and a sort when it is full. */
export class ViewModel {
  readonly #maxPages: number
  readonly #pages = new Map<string, ModelPage>()
  floor = 0
  #tie = Infinity

  constructor({ maxPages }: Pick<ViewInit, 'maxPages'>) {
    this.#maxPages = maxPages
  }

  get pages(): number {
    return this.#pages.size
  }

  replace(slice: number, run: PopularRun): void {
    for (const [key, page] of [...this.#pages]) if (page.slice === slice) this.#pages.delete(key)
    this.apply(slice, run)
  }

  apply(slice: number, changes: PopularRun): void {
    for (const page of pagesOf(slice, changes)) {
      this.#pages.delete(keyOf(page))
      if (this.#isTaken(page)) this.#pages.set(keyOf(page), page)
    }
    this.#settle()
  }

  drop(slice: number): void {
    for (const [key, page] of [...this.#pages]) if (page.slice === slice) this.#pages.delete(key)
    this.#settle()
  }

  clear(): void {
    this.#pages.clear()
    this.#settle()
  }

  get(slice: number, rest: number): ModelPage | undefined {
    return this.#pages.get(keyOf({ slice, rest }))
  }

  slice(slice: number): ModelPage[] {
    return [...this.#pages.values()].filter((page) => page.slice === slice).sort((a, b) => a.rest - b.rest)
  }

  top(count: number): ModelPage[] {
    const byRank = (a: ModelPage, b: ModelPage): number =>
      rankOf(b) - rankOf(a) || a.slice - b.slice || a.rest - b.rest
    return [...this.#pages.values()].sort(byRank).slice(0, count)
  }

  #isTaken(page: ModelPage): boolean {
    if (page.hosts === 0) return false
    return rankOf(page) > this.floor || (rankOf(page) === this.floor && tieOf(page) < this.#tie)
  }

  #settle(): void {
    if (this.pages > this.#maxPages) {
      const sorted = [...this.#pages.values()].sort((a, b) => rankOf(b) - rankOf(a) || tieOf(a) - tieOf(b))
      const count = Math.max(1, Math.floor(this.#maxPages * 0.99))
      const [last, next] = [sorted[count - 1]!, sorted[count]!]
      this.floor = rankOf(last)
      this.#tie = rankOf(next) === rankOf(last) ? tieOf(next) : Infinity
      for (const [key, page] of [...this.#pages]) if (!this.#isTaken(page)) this.#pages.delete(key)
    } else if (this.pages < this.#maxPages * 0.98) {
      this.floor = 0
      this.#tie = Infinity
    }
  }
}

export function pagesOf(slice: number, { count, rests, guests, hosts, holders }: PopularRun): ModelPage[] {
  return Array.from({ length: count }, (_, index) => ({
    slice, rest: rests[index]!, guests: guests[index]!, hosts: hosts[index]!,
    holders: [...holders.subarray(index * 3, index * 3 + 3)],
  }))
}

function keyOf({ slice, rest }: { slice: number; rest: number }): string {
  return `${slice} ${rest}`
}

function rankOf({ hosts, guests }: ModelPage): number {
  return popularityRank(hosts, guests)
}

function tieOf({ rest }: ModelPage): number {
  return rest % 2 ** 16
}
