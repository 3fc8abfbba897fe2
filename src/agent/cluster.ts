import type { Census } from '../census/index.ts'
import type { Mesh, Unsubscribe } from '../mesh/index.ts'
import type { Popularity, PopularityView } from '../popularity/index.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { Evacuation, type EvacuateRequest, type EvacuationComponents, type EvacuationResult } from './evacuation.ts'
import type { Candidate } from './evacuationplan.ts'
import { knownPages } from './examination.ts'
import type { History } from './history.ts'
import { LedgerSeries } from './ledgerseries.ts'
import type { PublicSamples } from './publicsamples.ts'
import type { AgentStatus } from './status.ts'
import { readMemory, Summaries, type ClusterView } from './summaries.ts'
import { spentIn, SUMMARY_PROTOCOL, summaryOf, type SummaryContext } from './summary.ts'

/** How often this host looks at its own ledger, and whether it is settled. */
const LOOK_MS = 10_000
/** A few pages are read at once: there is no time to give that up. */
const NEVER = new AbortController().signal

/** The whole cluster as this host sees it, and how this host is emptied into the others. */
export class Cluster {
  readonly #components: EvacuationComponents
  readonly #parallel: number
  readonly #summaries: Summaries
  readonly #status: () => AgentStatus
  readonly #series = new LedgerSeries()
  /** Since when it has not been settled, ms of the clock. */
  #unsettledAt: number | undefined

  constructor(
    components: Omit<EvacuationComponents, 'summaries' | 'known'> & {
      history: Pick<History, 'list'>
      status: () => AgentStatus
      census: Pick<Census, 'of'>
      popularity: Pick<Popularity, 'view'>
      publicView: PopularityView | undefined
      publicSamples: Pick<PublicSamples, 'count'>
    },
    { parallel }: { parallel: number },
  ) {
    const { guests, history, status } = components
    const summaries = new Summaries(components, {
      own: async (fresh) => {
        if (fresh) await guests.refresh()
        const seen = this.#look()
        return summaryOf(seen.status, { ...seen, history: history.list(), memory: await readMemory(), parallel })
      },
    })
    this.#status = status
    this.#summaries = summaries
    this.#components = { ...components, summaries, known: (guest, host) => knownAt(components, guest, host) }
    this.#parallel = parallel
  }

  /** Serves members that ask for this host's summary; returns how to end that. */
  serve(): Unsubscribe {
    const { mesh, clock } = this.#components
    const stopServing = mesh.handle(SUMMARY_PROTOCOL, (stream, from) => this.#summaries.answer(stream, from))
    const looking = clock.every(LOOK_MS, () => this.#look())
    return () => {
      looking.cancel()
      stopServing()
    }
  }

  /** What this host is at, and how that came about as far as it has been looked at. */
  #look(): Pick<SummaryContext, 'series' | 'unsettledMs'> & { status: AgentStatus } {
    const status = this.#status()
    const now = this.#components.clock.now()
    this.#series.note(now, { savedBytes: status.ledger.savedBytes, spentBytes: spentIn(status) })
    this.#unsettledAt = status.settled ? undefined : this.#unsettledAt ?? now
    return { status, series: this.#series.list(now), unsettledMs: Math.round(now - (this.#unsettledAt ?? now)) }
  }

  /** All hosts of the mesh, at most a second old. */
  async view(): Promise<ClusterView> {
    return await this.#summaries.all()
  }

  async evacuate(request: EvacuateRequest): Promise<EvacuationResult> {
    const { handoffs } = this.#components
    if (handoffs.isEvacuating && request.dryRun !== true) {
      throw new PagemeshError('evacuating', 'This host is being evacuated already.', {
        fault: 'usage', phase: 'preparing', advice: 'See `pagemesh status`.',
      })
    }
    const evacuation = new Evacuation(this.#components, request, { parallel: this.#parallel })
    if (request.dryRun === true) return await evacuation.run()
    handoffs.isEvacuating = true
    try {
      return await evacuation.run()
    } finally {
      handoffs.isEvacuating = false
    }
  }
}

interface Known {
  mesh: Mesh
  log: Log
  census: Pick<Census, 'of'>
  popularity: Pick<Popularity, 'view'>
  publicView: Pick<PopularityView, 'pages' | 'holdersOf'> | undefined
  publicSamples: Pick<PublicSamples, 'count'>
}

/** How many of the guest's distinct pages that host is known to hold, public ones too, from a sample of them. */
export async function knownAt(components: Known, guest: string, host: string): Promise<Omit<Candidate, 'host'>> {
  const { mesh, census, popularity } = components
  const found = census.of(guest)
  const { lookedAt, byHost } = knownPages(found, popularity.view, mesh.self.name)
  const distinctPages = found?.distinctPages ?? 0
  const share = lookedAt === 0 ? 0 : (byHost[host] ?? 0) / lookedAt
  const others = await publicAt(components, guest, host)
  return { distinctPages, pagesAtDestination: Math.min(distinctPages, Math.round(distinctPages * share) + others) }
}

async function publicAt(
  { log, popularity, publicView, publicSamples }: Known, guest: string, host: string,
): Promise<number> {
  if (publicView === undefined || publicView.pages === 0) return 0
  try {
    return await publicSamples.count(guest, {
      isCounted: (high, low) => popularity.view.holdersOf(high, low).includes(host),
      isThere: (high, low) => publicView.holdersOf(high, low).includes(host),
    }, NEVER)
  } catch (error) {
    log.debug('the public pages of a guest could not be counted', { guest, error: describeError(error) })
    return 0
  }
}
