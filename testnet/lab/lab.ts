import type { LabCluster } from '../index.ts'
import type { Places } from './places.ts'
import type { Recorder } from './recorder.ts'
import type { Scenario } from './scenario.ts'

/** What a scenario's steps work on. */
export interface Lab {
  cluster: LabCluster
  places: Places
  recorder: Recorder
  scenario: Scenario
  /** Ends waiting between steps; what runs just then fails when the lab goes. */
  signal: AbortSignal
}
