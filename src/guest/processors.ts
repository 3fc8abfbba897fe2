import { listOrNothing, readOrNothing } from './vanishing.ts'

/** What the processors of a guest that never ran take of the machine's, ticks of 10 ms: less than a tenth of this. */
const IDLE_TICKS_MAX = 5

/**
 * Reads /proc/PID/task/TID/stat: how long the thread has run, in clock ticks; undefined where it is none of a guest's
 * processors. QEMU names them with `debug-threads=on`, as managers start it. Pure.
 */
export function processorTicks(stat: string): number | undefined {
  const [, name = '', rest = ''] = /^\d+ \((.*)\) (.*)$/s.exec(stat) ?? []
  if (!/^(CPU \d+|ALL CPUs)\/[A-Z]+$/.test(name)) return undefined
  const [user, system] = rest.split(' ').slice(11, 13).map(Number)
  return user === undefined || system === undefined ? undefined : user + system
}

/** Whether the guest in a QEMU ever ran there; undefined where its threads do not tell. */
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
