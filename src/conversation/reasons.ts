/** Reasons for failed handoffs, as data: for a PagemeshError, the log or the other host. */
import { PagemeshError } from '../runtime/errors.ts'
import type { Reason } from './conversation.ts'

export function reasonOf(error: PagemeshError): Reason {
  const { code, message, fault, advice } = error
  return { code, message, fault, ...(advice === undefined ? {} : { advice }) }
}

export function errorOf({ code, message, ...details }: Reason): PagemeshError {
  return new PagemeshError(code, message, { phase: 'handoff', ...details })
}

/** An unexpected message: names the message and the state. */
export function unexpectedMessage(kind: string, state: string): Reason {
  return {
    code: 'bad-frame',
    message: `The other agent sent ${kind}, which this end does not expect in state ${state}.`,
    fault: 'peer',
    advice: 'Check that both hosts run the same version of Pagemesh.',
  }
}

/** One sentence for the other host and for logs. */
export function sentenceOf({ message, advice }: Reason): string {
  return advice === undefined ? message : `${message} ${advice}`
}

/** Code of a reason that the destination's host sent as text only. */
export const FAILED_THERE = 'failed-at-destination'

/** A text from the destination's host as the source's reason. */
export function fromOther(reason: string): Reason {
  return { code: FAILED_THERE, message: reason, fault: 'peer' }
}

export function sourceEnded(status: string, error: string | undefined): Reason {
  const why = error === undefined ? '' : `: ${error}`
  return {
    code: 'qemu-failed', fault: 'guest', message: `The source QEMU says that the migration ${status}${why}.`,
    advice: 'See the logs of both QEMUs and of the other agent.',
  }
}

/** The source QEMU died during post-copy. */
export function torn(): Reason {
  return { code: 'guest-gone', fault: 'guest', message: 'The source QEMU has ended during post-copy.' }
}

/** Nothing can bring the rest of the guest's memory, and a guest that was let run is not ended by an agent. */
export function tornHere(): Reason {
  return { ...torn(), advice: 'The rest of the guest\'s memory was there: the guest is lost. End this QEMU as well.' }
}

/** A text from the source's host as the destination's reason. */
export function fromSource(reason: string): Reason {
  return { code: 'failed-at-source', message: reason, fault: 'peer' }
}

export function destinationFailed(error: string | undefined): Reason {
  const why = error === undefined ? '' : `: ${error}`
  return { code: 'qemu-failed', fault: 'guest', message: `The destination QEMU says that the migration failed${why}.` }
}

export function paused(): Reason {
  return {
    code: 'postcopy-broken', fault: 'network', message: 'The connection was lost during post-copy; both QEMUs wait.',
    advice: '`pagemesh recover GUEST` on the source\'s host resumes it.',
  }
}

export function settled(): Reason {
  return { code: 'settled', fault: 'usage', message: 'The operator decided that this copy is ended.' }
}

export function silent(what: 'run' | 'end'): Reason {
  return { code: 'timeout', fault: 'guest', message: `The destination QEMU was told to ${what}, and does not answer.` }
}

export function unknownRunState(): Reason {
  return {
    code: 'run-state-unknown', fault: 'host', message: 'It is unknown whether the guest ran at switchover.',
    advice: '`pagemesh settle GUEST --run` lets it run.',
  }
}

export function notSaid(): Reason {
  return {
    code: 'timeout', fault: 'guest',
    message: 'The source gave the guest up, but the destination QEMU does not confirm that it has it.',
  }
}

export function restarted(message: string): Reason {
  return { code: 'agent-restarted', fault: 'host', message: `The agent was restarted during the handoff. ${message}` }
}

/** The operator cannot decide yet: the other host may be deciding at this moment. */
export function undecided(from: string): Reason {
  return {
    code: 'undecided', fault: 'usage', message: `${from} is connected, or being asked, and may decide this moment.`,
    advice: 'Look at `pagemesh status` again in a moment.',
  }
}

export function outOfTime(timeoutMs: number): Reason {
  return {
    code: 'timeout', fault: 'usage', message: `The handoff took longer than ${timeoutMs / 1000} s.`,
    advice: 'Allow more time, or use --mode postcopy for a guest that changes its memory faster than it can be sent.',
  }
}

export function sourceGone(guest: string): Reason {
  return {
    code: 'guest-gone', fault: 'guest', message: `The source QEMU of ${guest} ended.`,
    advice: 'See the log of that QEMU.',
  }
}

export function destinationGone(guest: string): Reason {
  return { ...sourceGone(guest), message: `The destination QEMU of ${guest} ended.` }
}
