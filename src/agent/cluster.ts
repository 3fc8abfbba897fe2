import type { Unsubscribe } from '../mesh/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import { Evacuation, type EvacuateRequest, type EvacuationComponents, type EvacuationResult } from './evacuation.ts'
import type { History } from './history.ts'
import type { AgentStatus } from './status.ts'
import { readMemory, Summaries, type ClusterView } from './summaries.ts'
import { SUMMARY_PROTOCOL, summaryOf } from './summary.ts'

/** The whole cluster as this host sees it, and how this host is emptied into the others. */
export class Cluster {
  readonly #components: EvacuationComponents
  readonly #parallel: number
  readonly #summaries: Summaries
  #isEvacuating = false

  constructor(
    components: Omit<EvacuationComponents, 'summaries'> & { history: Pick<History, 'list'>; status: () => AgentStatus },
    { parallel }: { parallel: number },
  ) {
    const { guests, history, status } = components
    const summaries = new Summaries(components, {
      own: async (fresh) => {
        if (fresh) await guests.refresh()
        return summaryOf(status(), { history: history.list(), memory: await readMemory(), parallel })
      },
    })
    this.#summaries = summaries
    this.#components = { ...components, summaries }
    this.#parallel = parallel
  }

  /** Serves members that ask for this host's summary; returns how to end that. */
  serve(): Unsubscribe {
    return this.#components.mesh.handle(SUMMARY_PROTOCOL, (stream) => this.#summaries.answer(stream))
  }

  /** All hosts of the mesh, at most a second old. */
  async view(): Promise<ClusterView> {
    return await this.#summaries.all()
  }

  async evacuate(request: EvacuateRequest): Promise<EvacuationResult> {
    if (this.#isEvacuating && request.dryRun !== true) {
      throw new PagemeshError('evacuating', 'This host is being evacuated already.', {
        fault: 'usage', phase: 'preparing', advice: 'See `pagemesh status`.',
      })
    }
    const evacuation = new Evacuation(this.#components, request, { parallel: this.#parallel })
    if (request.dryRun === true) return await evacuation.run()
    this.#isEvacuating = true
    try {
      return await evacuation.run()
    } finally {
      this.#isEvacuating = false
    }
  }
}
