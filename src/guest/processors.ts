import { listOrNothing, readOrNothing } from './vanishing.ts'

/** A vCPU with more CPU time than this has run, ticks of 10 ms. One that never ran uses less than a tenth of it. */
const IDLE_TICKS_MAX = 5

/**
 * Parses /proc/PID/task/TID/stat: the thread's CPU time in clock ticks; undefined if it is no vCPU thread. QEMU names
 * these threads with `debug-threads=on`, as managers start it. Pure.
 */
export function processorTicks(stat: string): number | undefined {
  const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? []
  if (!/^(CPU \d+|ALL CPUs)\/[A-Z]+$/.test(name)) return undefined
  const [user, system] = rest.split(' ').slice(11, 13).map(Number)
  return user === undefined || system === undefined ? undefined : user + system
}

/** Whether the guest in a QEMU ever ran there; undefined if no thread is a named vCPU. */
export function hasRun(pid: number): boolean | undefined {
  let isTold: false | undefined
  for (const thread of listOrNothing(`/proc/${pid}/task`)) {
    const ticks = processorTicks(readOrNothing(`/proc/${pid}/task/${thread}/stat`) ?? '')
    if (ticks === undefined) continue
    if (ticks > IDLE_TICKS_MAX) return true
    isTold = false
  }
  return isTold
}
