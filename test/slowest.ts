import { relative } from 'node:path'

/** Nobody waits for files that are faster. */
const SHOWN_MS_MIN = 1000

/** Lines that name the files that took longest, `filesMax` at the most; `spent` is ms by the path of the file. Pure. */
export function slowestFiles(
  spent: ReadonlyMap<string, number>, filesMax: number, folder = process.cwd(),
): string[] {
  const slow = [...spent].filter(([, ms]) => ms >= SHOWN_MS_MIN).sort(([, a], [, b]) => b - a).slice(0, filesMax)
  return slow.map(([file, ms]) => `${(ms / 1000).toFixed(1).padStart(7)} s in ${relative(folder, file)}`)
}
