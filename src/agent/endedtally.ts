import type { Manager } from '../guest/index.ts'
import type { PageSourceKind } from '../page/index.ts'
import type { RelayResult } from '../transfer/index.ts'
import type { HandoffRecord } from './api.ts'
import type { HandoffAbout, History } from './history.ts'

/** Number of handoffs of one kind and one outcome. */
export interface EndedCount {
  direction: HandoffRecord['direction']
  driver: HandoffRecord['driver']
  manager: Manager | null
  status: RelayResult['status']
  count: number
}

/** What the streams of guests that left here came to, over all handoffs that have ended. */
export interface PassageSums {
  qemuBytes: number
  wireBytes: number
  pages: Record<'zero' | 'ref' | 'literal', number>
  refsFilledBy: Record<PageSourceKind, number>
  /** Handoffs of which the destination did not write what the source read. */
  digestMismatches: number
}

/** Counts handoffs since start. The history cannot: it forgets the oldest, and it survives restarts. */
export class EndedTally {
  readonly #counts = new Map<string, EndedCount>()
  readonly #sums: PassageSums = {
    qemuBytes: 0, wireBytes: 0, pages: { zero: 0, ref: 0, literal: 0 }, digestMismatches: 0,
    refsFilledBy: { sentBefore: 0, resident: 0, store: 0, peer: 0, source: 0 },
  }

  counts(): EndedCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }))
  }

  sums(): PassageSums {
    return { ...this.#sums, pages: { ...this.#sums.pages }, refsFilledBy: { ...this.#sums.refsFilledBy } }
  }

  /** Wraps a history so that every handoff added to it is counted. */
  over(history: History): History {
    return {
      start: () => history.start(),
      list: () => history.list(),
      add: (result, about) => {
        this.#count(result, about)
        return history.add(result, about)
      },
    }
  }

  #count(result: RelayResult, { direction, driver = 'qmp', manager }: HandoffAbout): void {
    const kind = { direction, driver, manager: manager ?? null, status: result.status }
    const key = Object.values(kind).join()
    this.#counts.set(key, { ...kind, count: (this.#counts.get(key)?.count ?? 0) + 1 })
    const sums = this.#sums
    if (isMismatch(result, direction, driver)) sums.digestMismatches += 1
    // The end that receives knows less of a stream, and a stream counts once.
    if (direction === 'incoming') return
    sums.qemuBytes += result.qemuBytes
    sums.wireBytes += result.wireBytes
    addCounts(sums.pages, result.pages)
    addCounts(sums.refsFilledBy, result.refsFilledBy)
  }
}

/** Only of our own handoffs both ends are known to the end: of a manager's one may be cut off in good order. */
function isMismatch({ code, status, digestMatched }: RelayResult, direction: string, driver: string): boolean {
  if (code === 'digest-mismatch') return true
  return direction === 'outgoing' && driver === 'qmp' && status === 'completed' && !digestMatched
}

function addCounts<Name extends string>(sums: Record<Name, number>, counts: Readonly<Record<Name, number>>): void {
  for (const name of Object.keys(sums) as Name[]) sums[name] += counts[name]
}
