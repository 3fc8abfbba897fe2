/** What can go wrong at the outgoing end, in words for its operator. */
import type { MigrationMode } from '../guest/index.ts'
import { PagemeshError } from '../runtime/errors.ts'
import type { HandoffPhase } from './result.ts'

export function cannotMove(guest: string): PagemeshError {
  return new PagemeshError('guest-not-movable', `The guest ${guest} has no migration of its own.`, {
    fault: 'guest', phase: 'preparing', advice: 'Only guests with a QMP socket can be handed to another host.',
  })
}

export function sourceGone(guest: string, phase: HandoffPhase, cause: Error): PagemeshError {
  return new PagemeshError('guest-gone', `The source QEMU of ${guest} ended or closed its QMP connection.`, {
    fault: 'guest', phase, cause, advice: 'See the log of that QEMU.',
  })
}

export function sourceFailed(status: string, said: string | undefined, phase: HandoffPhase): PagemeshError {
  const why = said === undefined ? '' : `: ${said}`
  return new PagemeshError('qemu-failed', `The source QEMU says that the migration ${status}${why}.`, {
    fault: 'guest', phase, advice: 'See the logs of both QEMUs and of the other agent.',
  })
}

export function destinationFailed(host: string, reason: string): PagemeshError {
  return new PagemeshError('failed-at-destination', `${host}: ${reason}`, { fault: 'peer', phase: 'handoff' })
}

export function cancelled(phase: HandoffPhase): PagemeshError {
  return new PagemeshError('cancelled', 'The handoff was cancelled; the guest runs on at the source.', {
    fault: 'cancelled', phase,
  })
}

export function outOfTime(timeoutMs: number, phase: HandoffPhase): PagemeshError {
  return new PagemeshError('timeout', `The handoff took longer than ${timeoutMs / 1000} s.`, {
    fault: 'usage',
    phase,
    advice: 'Allow more time, or use --mode postcopy for a guest that changes its memory faster than it can be sent.',
  })
}

/** What to add to the reason when the guest may no longer live at the source. */
export function afterSwitchover(mode: MigrationMode, to: string): string {
  if (mode === 'postcopy') {
    return ' The guest had switched over: end neither QEMU; both wait for the migration to be resumed.'
  }
  return ` The source had given the guest up: look for it at ${to}, and let it run (QMP \`cont\`) if it is paused.`
}
