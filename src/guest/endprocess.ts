import { END_RIGHT } from '../host/rights.ts'
import { systemErrorCode } from '../runtime/errors.ts'
import { silent } from './incomingerror.ts'
import { isAlive, type ProcessIdentity } from './process.ts'
import { listensAt } from './qemuprocess.ts'
import { linkStatOrNothing } from './vanishing.ts'

/** What is known of a QEMU that has been followed since before its migration began. */
export interface Hearing {
  /** Last known migration status. */
  status: string | undefined
  /** Whether a `RESUME` event was ever received. */
  hasResumed: boolean
  /** Whether the QMP connection was ever lost, so that events may have been missed. */
  wasInterrupted: boolean
}

/** Statuses in which the destination QEMU has not loaded the device state: its guest cannot run. */
const LOADS: ReadonlySet<string> = new Set(['setup', 'active'])

/**
 * Whether a waiting QEMU's guest has certainly not run. QEMU emits `RESUME` before a vCPU runs; a separate thread sends
 * it, even while all commands block. Pure.
 */
export function cannotHaveRun({ status, hasResumed, wasInterrupted }: Hearing): boolean {
  return !wasInterrupted && !hasResumed && status !== undefined && LOADS.has(status)
}

/**
 * Kills the QEMU that was found at a QMP socket, if the same process still listens there: then its pid cannot have been
 * reused. Does nothing if it has ended. Throws PagemeshError `guest-silent`.
 */
export function endProcess(
  { name, process: identity }: { name: string; process: ProcessIdentity }, path: string,
  kill: (pid: number) => void = (pid) => process.kill(pid, 'SIGKILL'),
): void {
  const { pid } = identity
  if (!isAlive(identity)) return
  const file = linkStatOrNothing(path)
  if (file?.isSocket() !== true || !listensAt(pid, path, file)) {
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
