import { readlinkSync } from 'node:fs'

import { systemErrorCode } from '../runtime/errors.ts'
import { nextTurn } from '../runtime/turn.ts'
import { readArguments, readStartTicks, type ProcessIdentity } from './process.ts'
import { isQemuProgram, parseQemuArguments, type Manager, type QemuArguments } from './qemuarguments.ts'
import { listOrNothing } from './vanishing.ts'

/** Which QEMUs are guests of this host without QMP: those of one manager, or any. */
export type Managed = Manager | 'any'

/** A process that runs QEMU with the command line of one of these managers. */
export interface ScannedQemu extends ProcessIdentity {
  /** The whole command line: if it changes, it is another guest. */
  line: string
  said: QemuArguments
}

export interface ProcessScan {
  /** Oldest first. */
  qemus: ScannedQemu[]
  /** Processes that are named like QEMU and that this user may not inspect. */
  hidden: ProcessIdentity[]
  /** False if /proc hides other users' processes. */
  seesOthers: boolean
}

/** Processes examined before the thread yields: about a millisecond. */
const PROCESSES_A_TURN = 64

/** Scans all processes of this host, including those of visible containers. */
export async function scanQemus(managed: Managed): Promise<ProcessScan> {
  const scan: ProcessScan = { qemus: [], hidden: [], seesOthers: false }
  const pids = listOrNothing('/proc').filter((entry) => /^\d+$/.test(entry)).map(Number)
  for (const [index, pid] of pids.entries()) {
    if (index % PROCESSES_A_TURN === PROCESSES_A_TURN - 1) await nextTurn()
    lookAt(pid, managed, scan)
  }
  scan.seesOthers = pids.includes(1)
  scan.qemus.sort((a, b) => a.startTicks - b.startTicks || a.pid - b.pid)
  return scan
}

function lookAt(pid: number, managed: Managed, scan: ProcessScan): void {
  const program = programOf(pid)
  if (program !== undefined && program !== 'hidden' && !isQemuProgram(program)) return
  // Read before the other properties: a later process with this pid has a later start time.
  const startTicks = program === undefined ? undefined : readStartTicks(pid)
  if (startTicks === undefined) return
  const words = readArguments(pid)
  const said = parseQemuArguments(words)
  if (managed !== 'any' && said.manager !== managed) return
  if (program !== 'hidden') scan.qemus.push({ pid, startTicks, said, line: words.join('\0') })
  else if (isQemuProgram(words[0] ?? '')) scan.hidden.push({ pid, startTicks })
}

/** The executable of a process; undefined for a kernel thread, or if the process has ended. */
function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch (error) {
    const code = systemErrorCode(error)
    return code === 'EACCES' || code === 'EPERM' ? 'hidden' : undefined
  }
}
