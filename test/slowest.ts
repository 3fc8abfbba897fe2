import { relative } from 'node:path'

/** Faster files are not listed. */
const SHOWN_MS_MIN = 1000

/** Lines that name the slowest files, `filesMax` at most; `spent` is ms by the path of the file. Pure. */
export function slowestFiles(
  spent: ReadonlyMap<string, number>, filesMax: number, folder = process.cwd(),
): string[] {
  const slow = [...spent].filter(([, ms]) => ms >= SHOWN_MS_MIN).sort(([, a], [, b]) => b - a).slice(0, filesMax)
  return slow.map(([file, ms]) => `${(ms / 1000).toFixed(1).padStart(7)} s in ${relative(folder, file)}`)
}
