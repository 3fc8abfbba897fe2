/** What both hosts of the model world say alike. */
import type { Reason, RunState } from '../../../src/conversation/conversation.ts'

export const EMPTY = Buffer.alloc(0)

export function reasonOf(message: string): Reason {
  return { code: 'unexpected', message, fault: 'host' }
}

/** A run state as a driver takes it. */
export function stateOf(runState: RunState): Exclude<RunState, 'unknown'> {
  return runState === 'unknown' ? 'running' : runState
}
