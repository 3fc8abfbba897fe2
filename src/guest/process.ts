import { PagemeshError } from '../runtime/errors.ts'
import { readOrNothing } from './vanishing.ts'

/** Identifies a process even if a later one gets the same pid. */
export interface ProcessIdentity {
  pid: number
  /** Start time, in clock ticks since boot. */
  startTicks: number
}

/** Start time of process `pid`, in clock ticks since boot; undefined if it has ended, reaped or not. */
export function readStartTicks(pid: number): number | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`)
  // The name, in parentheses, may itself contain spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const ticks = Number(fields[19])
  return Number.isFinite(ticks) ? ticks : undefined
}

export function isAlive(process: ProcessIdentity): boolean {
  return readStartTicks(process.pid) === process.startTicks
}

/** The process' effective user id. Throws PagemeshError `guest-gone`. */
export function readUid(pid: number): number {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readOrNothing(`/proc/${pid}/status`) ?? '')?.[1]
  if (uid === undefined) throw processGone(pid)
  return Number(uid)
}

/** The process' command-line arguments; empty if it has ended. */
export function readArguments(pid: number): string[] {
  return (readOrNothing(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1)
}

/** Our path to a process' `path`, through /proc/PID/root. The kernel resolves any `..` in it. */
export function pathSeenBy(pid: number, path: string): string {
  return path.startsWith('/') ? `/proc/${pid}/root${path}` : `/proc/${pid}/cwd/${path}`
}

export function processGone(pid: number): PagemeshError {
  return new PagemeshError('guest-gone', `The guest's process ${pid} has ended.`, { fault: 'guest', data: { pid } })
}
