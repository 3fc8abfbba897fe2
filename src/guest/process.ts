import { PagemeshError } from '../runtime/errors.ts'
import { readOrNothing } from './vanishing.ts'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  pid: number
  /** When it began, in clock ticks since the machine booted. */
  startTicks: number
}

/** When process `pid` began, in clock ticks since boot; undefined when it has ended, reaped or not. */
export function readStartTicks(pid: number): number | undefined {
  const text = readOrNothing(`/proc/${pid}/stat`)
  // The name, in parentheses, may itself hold spaces and parentheses.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const ticks = Number(fields[19])
  return Number.isFinite(ticks) ? ticks : undefined
}

export function isAlive(process: ProcessIdentity): boolean {
  return readStartTicks(process.pid) === process.startTicks
}

/** The user that the process acts as. Throws PagemeshError `guest-gone`. */
export function readUid(pid: number): number {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(readOrNothing(`/proc/${pid}/status`) ?? '')?.[1]
  if (uid === undefined) throw processGone(pid)
  return Number(uid)
}

/** Arguments that the process was started with; none when it is gone. */
export function readArguments(pid: number): string[] {
  return (readOrNothing(`/proc/${pid}/cmdline`) ?? '').split('\0').slice(0, -1)
}

/** Where we find what a process calls `path`. It is left to the kernel to follow `..`, also out of the first step. */
export function pathSeenBy(pid: number, path: string): string {
  return path.startsWith('/') ? `/proc/${pid}/root${path}` : `/proc/${pid}/cwd/${path}`
}

export function processGone(pid: number): PagemeshError {
  return new PagemeshError('guest-gone', `The guest's process ${pid} has ended.`, { fault: 'guest', data: { pid } })
}
