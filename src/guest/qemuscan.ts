import { readlinkSync } from 'node:fs'

import { systemErrorCode } from '../runtime/errors.ts'
import { nextTurn } from '../runtime/turn.ts'
import { readArguments, readStartTicks, type ProcessIdentity } from './process.ts'
import { isQemuProgram, parseQemuArguments, type Manager, type QemuArguments } from './qemuarguments.ts'
import { listOrNothing } from './vanishing.ts'

/** Whose QEMUs are guests of this host without QMP: a manager's, or everybody's. */
export type Managed = Manager | 'any'

/** A process that runs QEMU's program with the words of a manager that counts. */
export interface ScannedQemu extends ProcessIdentity {
  /** The command line as it stands: another one is another guest. */
  line: string
  said: QemuArguments
}

export interface ProcessScan {
  /** The eldest first. */
  qemus: ScannedQemu[]
  /** Processes that call themselves QEMU and may not be looked at. */
  hidden: ProcessIdentity[]
  /** False where /proc does not show the processes of others. */
  seesOthers: boolean
}

/** Processes that are looked at before everything else has a turn: a millisecond's worth. */
const PROCESSES_A_TURN = 64

/** Looks at all processes of this host, and in containers that it sees into. */
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
  // Before what belongs to it: a later process of this number began later.
  const startTicks = program === undefined ? undefined : readStartTicks(pid)
  if (startTicks === undefined) return
  const words = readArguments(pid)
  const said = parseQemuArguments(words)
  if (managed !== 'any' && said.manager !== managed) return
  if (program !== 'hidden') scan.qemus.push({ pid, startTicks, said, line: words.join('\0') })
  else if (isQemuProgram(words[0] ?? '')) scan.hidden.push({ pid, startTicks })
}

/** The file that a process runs; undefined for one of the kernel's, or one that has ended. */
function programOf(pid: number): string | 'hidden' | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`)
  } catch (error) {
    const code = systemErrorCode(error)
    return code === 'EACCES' || code === 'EPERM' ? 'hidden' : undefined
  }
}
