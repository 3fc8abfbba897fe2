/**
 * The state in which a conversation resumes after its agent died, derived from the record on disk and from QEMU's
 * present state. A record proves what it says; what happened after it is learnt from QEMU, or unknown. The QMP session
 * is open again and knows which settings to restore.
 */
import type { GuestState } from '../guest/index.ts'
import type { RunState } from './conversation.ts'
import { arrived, broke, cut as cutIncoming, fell, hold, rest as restIncoming } from './incomingend.ts'
import type { IncomingRecordedAs, IncomingStep } from './incomingstate.ts'
import { breakOff } from './incomingstep.ts'
import { cut, keep, rest, stop, takeBack, tear } from './outgoingend.ts'
import type { LeavingCause, OutgoingRecordedAs, OutgoingState, OutgoingStep } from './outgoingstate.ts'
import { restarted } from './reasons.ts'

/** The present state of the guest's process; not alive: the process that the record names has ended. */
export type Facts = { alive: false } | { alive: true; status: string; state: GuestState }

/** The outgoing end's state after a restart. */
export function restartOutgoing(
  { as, runState }: { as: OutgoingRecordedAs; runState: RunState }, facts: Facts,
): OutgoingStep {
  const status = facts.alive ? facts.status : 'dead'
  switch (as) {
    case 'kept':
      return rest({ as: 'kept', reason: restarted('The source kept the guest.') })
    case 'taking-back':
      return takeBack({
        at: 'takingBack', copy: 'unfit', link: 'lost', runState,
        reason: restarted('The destination could not let the guest run.'),
      })
    case 'orphaned':
      return orphaned(false, runState)
    case 'given-up': case 'held': case 'moving': case 'cut':
      if (status === 'completed' && facts.alive && facts.state === 'running') {
        return keep({ link: 'lost', runState }, restarted('The guest was resumed at the source meanwhile.'))
      }
      if (as === 'held') return rest({ as: 'held', reason: restarted('Nobody runs the guest.') })
      return as === 'given-up' ? unconfirmed(status === 'completed' ? 'completed' : 'dead', runState)
        : decidedBy(status, as === 'cut', runState)
  }
}

function decidedBy(status: string, isCut: boolean, runState: RunState): OutgoingStep {
  switch (status) {
    case 'completed':
      return unconfirmed(isCut ? 'postcopy' : 'completed', runState)
    case 'failed': case 'cancelled': case 'none':
      return keep({ link: 'lost', runState }, restarted(`The source QEMU says that the migration ${status}.`))
    case 'dead':
      // The guest may have gone on before it died: the destination's copy may be older than its disks.
      return isCut ? tear(runState, restarted('The source QEMU has ended meanwhile.')) : orphaned(true, runState)
    case 'postcopy-paused': case 'postcopy-recover':
      return cut(runState, restarted('Post-copy was cut.'))
    case 'postcopy-active':
      if (isCut) return cut(runState, restarted('Post-copy was cut.'))
      return {
        state: { at: 'handingOver', link: 'lost', copy: 'unknown', runState, isCancelling: false },
        effects: [{ do: 'stopPassages' }, { do: 'wait', wait: 'undecided' }],
      }
    default:
      return stop(
        { link: 'lost', copy: 'unknown', runState, isCancelling: status === 'cancelling' },
        restarted('Its stream was cut.'),
      )
  }
}

function unconfirmed(cause: LeavingCause, runState: RunState): OutgoingStep {
  return {
    state: { at: 'unconfirmed', cause, link: 'lost', runState },
    effects: [{ do: 'closeDriver' }, { do: 'deliver', ending: { as: 'unconfirmed' } }],
  }
}

function orphaned(mayHaveGoneOn: boolean, runState: RunState): OutgoingStep {
  const reason = restarted('The source QEMU has ended meanwhile.')
  const state: OutgoingState = {
    at: 'orphaned', reason, mayHaveGoneOn, link: 'lost', copy: 'unknown', runState, isCancelling: false,
  }
  return { state, effects: [{ do: 'deliver', ending: { as: mayHaveGoneOn ? 'undecided' : 'orphaned', reason } }] }
}

/** The incoming end's state after a restart. */
export function restartIncoming(
  { as, runState }: { as: IncomingRecordedAs; runState: RunState }, facts: Facts,
): IncomingStep {
  const reason = restarted('Its connection was cut.')
  if (as === 'arrived') return arrived('lost', stateOf(runState))
  if (as === 'broken') return broke('lost', reason)
  if (!facts.alive) {
    const died = restarted('The destination QEMU has ended meanwhile.')
    // Only a copy that never ran may be given back, and the record may lack the last moments before the restart.
    return as === 'unfit' ? broke('lost', died) : fell('lost', died)
  }
  const { status, state } = facts
  switch (status) {
    case 'completed':
      // The operator let it run, or this agent did just before it died.
      if (state === 'running') return arrived('lost', state)
      return hold({
        why: reason, link: 'lost', runState,
        copy: as === 'unfit' ? { kind: 'unfit', reason: reason.message } : { kind: 'whole' },
      })
    case 'none':
      return restIncoming({ as: 'failed', reason }, [{ do: 'forget' }])
    case 'setup': case 'failed':
      return broke('lost', reason)
    case 'postcopy-active': case 'postcopy-paused': case 'postcopy-recover':
      return cutIncoming({ runState, state: state === 'running' ? state : undefined, why: reason })
    default:
      return breakOff(reason, 'lost', runState)
  }
}

function stateOf(runState: RunState): GuestState {
  return runState === 'unknown' ? 'running' : runState
}
