import type { LabCluster } from '../index.ts'
import type { Places } from './places.ts'
import type { Recorder } from './recorder.ts'
import type { Scenario } from './scenario.ts'

/** The objects that a scenario's steps work on. */
export interface Lab {
  cluster: LabCluster
  places: Places
  recorder: Recorder
  scenario: Scenario
  /** Ends waiting between steps; a running step fails when the lab is removed. */
  signal: AbortSignal
}
