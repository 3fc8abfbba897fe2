import { END_RIGHT } from '../host/rights.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { silent } from './incomingerror.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { listensAt } from './qemuprocess.ts'
import { linkStatOrNothing } from './vanishing.ts'

/** What was heard of a QEMU from before its migration began. */
export interface Hearing {
  /** What it said last of its migration. */
  status: string | undefined
  /** It said that it lets its guest run, at whatever time. */
  hasResumed: boolean
  /** The connection to it was lost for a while: something may have been said that nobody heard. */
  wasInterrupted: boolean
}

/** While QEMU loads in pre-copy, and before it takes the switch to post-copy: its guest has no state to run from. */
const LOADS: ReadonlySet<string> = new Set(['setup', 'active'])

/**
 * Whether no processor of a waiting QEMU's guest has run. Before one does, QEMU says `RESUME`; a thread of its own says
 * it, also while all commands wait. Pure.
 */
export function cannotHaveRun({ status, hasResumed, wasInterrupted }: Hearing): boolean {
  return !wasInterrupted && !hasResumed && status !== undefined && LOADS.has(status)
}

/**
 * Kills the QEMU that was found at a QMP socket, if it is the very same process and listens there still: its number
 * cannot have become another's a moment later. Does nothing to one that has ended. Throws PagemeshError `guest-silent`.
 */
export function endProcess(
  { name, process: identity }: { name: string; process: ProcessIdentity }, path: string,
  kill: (pid: number) => void = (pid) => process.kill(pid, 'SIGKILL'),
): void {
  const { pid } = identity
  if (!isAlive(identity)) return
  const file = linkStatOrNothing(path)
  if (file?.isSocket() !== true || !listensAt(pid, file)) {
    throw silent(name, pid, `it does not listen at ${path} any more: it may be another's`)
  }
  try {
    kill(pid)
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ESRCH') return
    if (code !== 'EPERM') throw error
    throw silent(name, pid, `this agent has not the right to end it (${END_RIGHT.name})`, error)
  }
}
