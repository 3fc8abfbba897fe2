import { readFileSync } from 'node:fs'

/** /proc counts in hundredths of a second, whatever the kernel's tick. */
const TICKS_PER_SECOND = 100

/** Processor time of the processes so far, with all their threads, seconds. A process that ended counts 0. */
export function processorSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + secondsOf(pid), 0)
}

function secondsOf(pid: number): number {
  try {
    return secondsIn(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // The process has ended.
    return 0
  }
}

/** User and system time from the text of /proc/PID/stat, where a name with spaces is in parentheses. Pure. */
export function secondsIn(text: string): number {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
