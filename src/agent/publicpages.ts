import type { Census } from '../census/index.ts'
import { listPages, listTogether, PageColumns, PrefixRun, PUBLIC_TENANT, SortedTable } from '../page/index.ts'
import type { PopularityView } from '../popularity/index.ts'
import { inPieces, nextTurn } from '../runtime/turn.ts'
import type { Store } from '../store/index.ts'
import { PUBLIC_PAGES_MAX, type PublicPages } from '../transfer/index.ts'

/** Parts in which the census is read: others get their turn in between. */
const CENSUS_PARTS = 64

/**
 * The public pages of this host: the stable ones of its public guests, and those of its store that the mesh knows to be
 * public. The store does not know whose its pages are: what public guests do not hold, here or elsewhere, is not named.
 */
export function createPublicPages(
  { census, store, view }: {
    census: Pick<Census, 'all' | 'stablePages'>
    store: Pick<Store, 'has' | 'pages'>
    /** What is popular of the tenant `public`; undefined where the host does not have it. */
    view: Pick<PopularityView, 'pages' | 'forEach'> | undefined
  },
): PublicPages {
  return {
    get areThere() {
      if (view === undefined) return false
      const isKept = view.pages > 0 && store.pages > 0
      return isKept || census.all().some(({ scope }) => scope.tenant === PUBLIC_TENANT)
    },
    async list() {
      const resident = await residentOf(census)
      const kept = view === undefined ? [] : [await keptOf(view, store, PUBLIC_PAGES_MAX - resident.size)]
      return await listPages(listTogether([resident, ...kept]).table)
    },
  }
}

async function residentOf(census: Pick<Census, 'stablePages'>): Promise<SortedTable> {
  const columns = new PageColumns(PUBLIC_PAGES_MAX)
  const run = new PrefixRun()
  const step = 2 ** 32 / CENSUS_PARTS
  for (let part = 0; part < CENSUS_PARTS && !columns.isFull; part++) {
    run.clear()
    census.stablePages(part * step, (part + 1) * step - 1, run, PUBLIC_TENANT)
    for (let i = 0; i < run.count && !columns.isFull; i++) columns.push(run.high[i]!, run.low[i]!, 0)
    await nextTurn()
  }
  return tableOf(columns)
}

/** The public pages of the mesh that are in the store, at most `countMax`. */
async function keptOf(
  view: Pick<PopularityView, 'pages' | 'forEach'>, store: Pick<Store, 'has'>, countMax: number,
): Promise<SortedTable> {
  const all = new PageColumns(view.pages)
  view.forEach((high, low) => all.push(high, low, 0))
  const kept = new PageColumns(Math.min(countMax, all.count))
  await inPieces(all.count, (from, to) => {
    for (let i = from; i < to && !kept.isFull; i++) {
      if (store.has(all.high[i]!, all.low[i]!, 64)) kept.push(all.high[i]!, all.low[i]!, 0)
    }
  })
  return tableOf(kept)
}

/** Of columns in rising order. */
function tableOf({ high, low, values, count }: PageColumns): SortedTable {
  return SortedTable.fromRising({
    high: high.slice(0, count), low: low.slice(0, count), values: values.slice(0, count),
  })
}
