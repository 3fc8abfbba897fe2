import type { Manager } from '../guest/index.ts'
import type { RelayResult } from '../transfer/index.ts'
import type { HandoffRecord } from './api.ts'
import type { History } from './history.ts'

/** Number of handoffs of one kind and one outcome. */
export interface EndedCount {
  direction: HandoffRecord['direction']
  driver: HandoffRecord['driver']
  manager: Manager | null
  status: RelayResult['status']
  count: number
}

/** Counts handoffs since start. The history cannot: it forgets the oldest, and it survives restarts. */
export class EndedTally {
  readonly #counts = new Map<string, EndedCount>()

  counts(): EndedCount[] {
    return [...this.#counts.values()].map((count) => ({ ...count }))
  }

  /** Wraps a history so that every handoff added to it is counted. */
  over(history: History): History {
    return {
      start: () => history.start(),
      list: () => history.list(),
      add: (result, about) => {
        const { direction, driver = 'qmp', manager = null } = about
        const kind = { direction, driver, manager, status: result.status }
        const key = Object.values(kind).join()
        const count = (this.#counts.get(key)?.count ?? 0) + 1
        this.#counts.set(key, { ...kind, count })
        return history.add(result, about)
      },
    }
  }
}
