/**
 * How many of a guest's pages are public pages elsewhere. A guest's census has ids of its own tenant alone: to compare
 * its pages with public ones, some are read again and hashed with the public key. Those ids stay in this process.
 */
import type { Census, GuestCensus } from '../census/index.ts'
import type { EstimateFindings } from '../handoff/index.ts'
import {
  ID_BYTES, idsOf, isAmong, isInSet, PAGE_BYTES, PageBatch, PREFIX_BYTES, prefixesAt, PUBLIC_TENANT, verified,
  type PageHasher, type PageScopes, type PageSource, type Prefixes,
} from '../page/index.ts'
import { nextTurn } from '../runtime/turn.ts'
import type { HandoffEstimate } from '../transfer/index.ts'

/** Of a guest with more distinct pages at least half as many are looked at, spread evenly: a percent in doubt. */
const PAGES_MAX = 8192
/** Pages that are read and hashed together. */
const BATCH_PAGES = 256

/** Which of a guest's pages count. */
export interface PublicCount {
  /** Whether the page with this id of its own tenant is counted already. */
  isCounted: (high: number, low: number) => boolean
  /** Whether the page with this public id is there. */
  isThere: (high: number, low: number) => boolean
}

/** Some of a guest's pages: those that are as they were scanned, by their own ids and by public ones. */
interface Sample {
  own: Prefixes
  asPublic: Prefixes
  /** Of all distinct pages one in so many was looked at. */
  step: number
}

/** Samples of this host's guests, each taken when it is first asked for, and again after another scan. */
export class PublicSamples {
  readonly #census: Pick<Census, 'of' | 'resident'>
  readonly #scopes: Pick<PageScopes, 'publicHasher'>
  readonly #samples = new WeakMap<GuestCensus, Sample>()

  constructor({ census, scopes }: {
    census: Pick<Census, 'of' | 'resident'>; scopes: Pick<PageScopes, 'publicHasher'>
  }) {
    this.#census = census
    this.#scopes = scopes
  }

  /**
   * How many of the guest's distinct pages are public pages that are there, about, and not counted already; 0 for a
   * public guest, whose own ids tell that, and for one that was not scanned. Rejects with the signal's reason.
   */
  async count(guest: string, { isCounted, isThere }: PublicCount, signal: AbortSignal): Promise<number> {
    const found = this.#census.of(guest)
    if (found === undefined || found.scope.tenant === PUBLIC_TENANT) return 0
    const hasher = this.#scopes.publicHasher(found.scope.epoch)
    if (hasher === undefined) return 0
    const { own, asPublic, step } = this.#samples.get(found) ?? await this.#take(found, hasher, signal)
    let count = 0
    for (let i = 0; i < own.count; i++) {
      if (isThere(asPublic.high[i]!, asPublic.low[i]!) && !isCounted(own.high[i]!, own.low[i]!)) count += 1
    }
    return count * step
  }

  async #take(found: GuestCensus, hasher: PageHasher, signal: AbortSignal): Promise<Sample> {
    const { table } = found
    const step = Math.max(1, Math.ceil(table.size / PAGES_MAX))
    const indices = Uint32Array.from({ length: Math.ceil(table.size / step) }, (_, number) => number * step)
    // In the order of memory, which is then read in fewer pieces.
    indices.sort((one, other) => found.numberAt(one) - found.numberAt(other))
    const listed = {
      count: indices.length, high: Uint32Array.from(indices, (index) => table.highAt(index)),
      low: Uint32Array.from(indices, (index) => table.lowAt(index)),
    }
    // Pages that were changed since they were scanned are not those that were counted.
    const source = verified(this.#census.resident, found.scope.hasher)
    const { places, asPublic } = await hashAgain(source, listed, hasher, signal)
    const sample = { own: prefixesAt(listed, places), asPublic, step }
    this.#samples.set(found, sample)
    return sample
  }
}

/** The estimate with what the destination has of public pages counted, too. Rejects with the signal's reason. */
export async function publicAmong(
  { publicSamples }: { publicSamples: PublicSamples },
  { known, publicPages }: Pick<EstimateFindings, 'known' | 'publicPages'>, estimate: HandoffEstimate,
  signal: AbortSignal,
): Promise<HandoffEstimate> {
  if (publicPages === undefined) return estimate
  const count = await publicSamples.count(estimate.guest, {
    isCounted: (high, low) => isAmong(known, high, low),
    isThere: (high, low) => isInSet(publicPages.pages, high, low),
  }, signal)
  const { distinctPages, pagesAtDestination } = estimate
  return { ...estimate, pagesAtDestination: Math.min(distinctPages, pagesAtDestination + count) }
}

/** Which of these pages the source has, and the ids that this hasher makes of them. */
async function hashAgain(
  source: PageSource, listed: Prefixes, hasher: PageHasher, signal: AbortSignal,
): Promise<{ places: Uint32Array; asPublic: Prefixes }> {
  const places: number[] = []
  const asPublic = { count: 0, high: new Uint32Array(listed.count), low: new Uint32Array(listed.count) }
  const room = Buffer.allocUnsafe(BATCH_PAGES * PAGE_BYTES)
  const ids = Buffer.allocUnsafe(BATCH_PAGES * ID_BYTES)
  for (let from = 0; from < listed.count; from += BATCH_PAGES) {
    const count = Math.min(BATCH_PAGES, listed.count - from)
    const batch = new PageBatch(idsOf(prefixesAt(listed, placesFrom(from, count))), room, PREFIX_BYTES)
    await source.fill(batch, signal)
    const filled = placesFrom(0, count).filter((place) => batch.isFilled(place))
    hasher.hashScattered(room, filled.map((place) => place * PAGE_BYTES), filled.length, ids)
    for (let i = 0; i < filled.length; i++) {
      places.push(from + filled[i]!)
      asPublic.high[asPublic.count] = ids.readUInt32BE(i * ID_BYTES)
      asPublic.low[asPublic.count++] = ids.readUInt32BE(i * ID_BYTES + 4)
    }
    await nextTurn()
  }
  return { places: Uint32Array.from(places), asPublic }
}

function placesFrom(first: number, count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, place) => first + place)
}
