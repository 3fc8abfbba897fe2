/** From looks at three real guests to the parameters of the model. Pure. */

/** By page number: 0 absent, 1 zeros, else 52 bits of the page's id. */
export type Look = Float64Array

const FIRST_CONTENT = 2

export interface TrioFit {
  works: readonly string[]
  /** Non-zero pages of the first guest, and the share of its resident pages that hold zeros. */
  nonZeroPages: number
  zeroShare: number
  /** Distinct contents among the non-zero pages, as a share of them. */
  distinctShare: number
  /**
   * Shares of the first guest's distinct pages that are also held by the guest with other work, the one with the same
   * work, and both.
   */
  inOther: number
  inSame: number
  inBoth: number
  /** The fit: chance that a guest of a system holds a page of its pool, and shares of a guest's distinct pages. */
  presence: number
  system: number
  application: number
  private: number
  /** By class, over the non-zero pages of the first guest. */
  volatility: Record<PageClass, Volatility>
}

export type PageClass = 'system' | 'application' | 'private'

export interface Volatility {
  /** Share of page numbers whose content changed between two looks. */
  changed: number
  /** Share whose content changed between the first two looks and again between the next two. */
  changedTwice: number
}

/**
 * `looks` by guest, then by time; the first two guests have the same work, the third another.
 *
 * Method of moments. Each guest holds a page of its system's pool with the same chance q, and of its application's pool
 * likewise; s, a are the shares of a guest's pages that come from either pool. Then the guest with other work
 * holds a share x = s q of them, both others hold y = s q^2, and the guest with the same work holds
 * z = (s + a) q. So q = y / x, s = x / q, a = z / q - s, and the rest is private.
 */
export function fitTrio(works: readonly string[], looks: readonly Look[][]): TrioFit {
  const [own, same, other] = looks.map((guestLooks) => contentsOf(guestLooks[0]!)) as [Contents, Contents, Contents]
  const share = (isCounted: (content: number) => boolean): number => countIf(own, isCounted) / own.size
  const inOther = share((content) => other.has(content))
  const inSame = share((content) => same.has(content))
  const inBoth = share((content) => other.has(content) && same.has(content))
  const presence = Math.min(1, inBoth / inOther)
  const system = inOther / presence
  const application = Math.max(0, inSame / presence - system)
  const first = looks[0]![0]!
  const nonZeroPages = countIf(first, (content) => content >= FIRST_CONTENT)
  const zeroPages = countIf(first, (content) => content === 1)
  const classOf = (content: number): PageClass =>
    other.has(content) ? 'system' : same.has(content) ? 'application' : 'private'
  return {
    works, nonZeroPages, zeroShare: zeroPages / (zeroPages + nonZeroPages), distinctShare: own.size / nonZeroPages,
    inOther, inSame, inBoth, presence, system, application, private: Math.max(0, 1 - system - application),
    volatility: {
      system: volatilityOf(looks[0]!, (content) => classOf(content) === 'system'),
      application: volatilityOf(looks[0]!, (content) => classOf(content) === 'application'),
      private: volatilityOf(looks[0]!, (content) => classOf(content) === 'private'),
    },
  }
}

export function formatFit(fits: readonly TrioFit[], seconds: number): string {
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`
  const rows = fits.flatMap((fit) => [
    `${fit.works[0]} beside ${fit.works[1]} and ${fit.works[2]}: ${fit.nonZeroPages} non-zero pages, ` +
      `${percent(fit.distinctShare)} of them distinct; ${percent(fit.zeroShare)} of the resident pages are zero`,
    `  distinct pages also held by: other work ${percent(fit.inOther)}, same work ${percent(fit.inSame)}, ` +
      `both ${percent(fit.inBoth)}`,
    `  fit: presence ${fit.presence.toFixed(3)}, system ${percent(fit.system)}, ` +
      `application ${percent(fit.application)}, private ${percent(fit.private)}`,
    ...(['system', 'application', 'private'] as const).map((name) =>
      `  ${name} pages changed after ${seconds} s: ${percent(fit.volatility[name].changed)}, ` +
      `and again after ${seconds} s more: ${percent(fit.volatility[name].changedTwice)}`),
  ])
  return rows.join('\n')
}

type Contents = Set<number>

function contentsOf(look: Look): Contents {
  const contents = new Set<number>()
  for (const content of look) if (content >= FIRST_CONTENT) contents.add(content)
  return contents
}

function countIf(contents: Iterable<number>, isCounted: (content: number) => boolean): number {
  let count = 0
  for (const content of contents) if (isCounted(content)) count += 1
  return count
}

function volatilityOf(looks: readonly Look[], isCounted: (content: number) => boolean): Volatility {
  const [first, second, third] = looks as [Look, Look, Look]
  let pages = 0
  let changed = 0
  let changedTwice = 0
  for (let page = 0; page < first.length; page++) {
    if (first[page]! < FIRST_CONTENT || !isCounted(first[page]!)) continue
    pages += 1
    if (first[page] === second[page]) continue
    changed += 1
    if (second[page] !== third[page]) changedTwice += 1
  }
  return { changed: changed / Math.max(1, pages), changedTwice: changedTwice / Math.max(1, pages) }
}
