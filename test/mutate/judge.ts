import { describeFault, folderOf, type ExplainedSurvivor, type Fault } from './fault.ts'
import { KILLED_SHARE_MIN } from './folders.ts'

/** The fate of a fault: a test failed, the tests had to be ended, or all passed. */
export type Fate = 'killed' | 'timed-out' | 'survived'

export interface TriedFault {
  fault: Fault
  fate: Fate
  /** The test that failed. */
  failure?: string
  /** Why it may survive, from the kept list. */
  why?: string
}

export interface FolderVerdict {
  folder: string
  faults: number
  killed: number
  timedOut: number
  survived: number
  explained: number
  /** Share killed or timed out. */
  share: number
}

export interface Verdict {
  folders: FolderVerdict[]
  /** Faults that no test noticed, explained ones included. */
  survivors: TriedFault[]
  /** Faults whose tests ran out of time: mostly endless loops, on a busy machine perhaps slow tests. */
  timedOut: Fault[]
  /** Reasons why the run fails; empty if it does not. */
  complaints: string[]
}

/** The entry of the kept list that explains a fault. */
export function explanationOf(fault: Fault, explained: readonly ExplainedSurvivor[]): string | undefined {
  return explained.find(({ file, line, after }) => file === fault.file && fault.before.includes(line) &&
    (after === undefined || after.some((part) => fault.after.includes(part))))?.why
}

/** @param wholeFolders folders of which all faults were tried, so that their share can be judged. */
export function judge(tried: readonly TriedFault[], wholeFolders: readonly string[]): Verdict {
  const names = [...new Set(tried.map(({ fault }) => folderOf(fault)))].sort()
  const folders = names.map((name) => countFolder(name, tried.filter(({ fault }) => folderOf(fault) === name)))
  const survivors = tried.filter(({ fate }) => fate === 'survived')
  const unexplained = survivors.filter(({ why }) => why === undefined).length
  const complaints = folders
    .filter(({ folder, share }) => wholeFolders.includes(folder) && share < KILLED_SHARE_MIN)
    .map(({ folder, share }) => `${folder}: ${percent(share)} killed, ${percent(KILLED_SHARE_MIN)} are demanded`)
  if (unexplained > 0) complaints.push(`${unexplained} survivors are explained by nothing in test/mutate/survivors.ts`)
  const timedOut = tried.filter(({ fate }) => fate === 'timed-out').map(({ fault }) => fault)
  return { folders, survivors, timedOut, complaints }
}

function countFolder(folder: string, tried: readonly TriedFault[]): FolderVerdict {
  const count = (wanted: Fate): number => tried.filter(({ fate }) => fate === wanted).length
  const survived = count('survived')
  return {
    folder, faults: tried.length, killed: count('killed'), timedOut: count('timed-out'), survived,
    explained: tried.filter(({ fate, why }) => fate === 'survived' && why !== undefined).length,
    share: (tried.length - survived) / tried.length,
  }
}

/** The verdict for people. */
export function formatVerdict({ folders, survivors, complaints }: Verdict): string {
  const rows = folders.map(({ folder, faults, killed, timedOut, survived, explained, share }) =>
    `${folder.padEnd(12)} ${percent(share)} of ${faults} killed: ${killed} by a test that failed, ` +
    `${timedOut} by time; ${survived} survived, ${explained} of them explained`)
  const list = survivors
    .map(({ fault, why }) => describeFault(fault) + (why === undefined ? '' : `\n    ${why}`))
  return [...list, ...rows, ...complaints].join('\n')
}

function percent(share: number): string {
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`
}
