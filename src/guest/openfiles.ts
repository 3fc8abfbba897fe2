import { readdirSync } from 'node:fs'

import { parseFileLocks, type FileLock } from './filelocks.ts'
import { readArguments } from './process.ts'
import { guestNameOf } from './qemuarguments.ts'
import { listOrNothing, readOrNothing, statOrNothing } from './vanishing.ts'

export interface FileIdentity {
  dev: number
  ino: number
}

export interface LockHolder {
  pid: number
  /** The kernel's name of the process, such as `qemu-system-x86`. */
  command: string
  /** Guest name, if the process is a QEMU with `-name`. */
  guest: string | undefined
  locks: FileLock[]
}

/** Processes other than `pid` that have `file` open, with their locks on it. Processes may end meanwhile. */
export function findLockHolders(pid: number, file: FileIdentity): LockHolder[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && entry !== String(pid))
    .flatMap((other) => {
      const locks = locksOf(other, file)
      if (locks.length === 0) return []
      const command = (readOrNothing(`/proc/${other}/comm`) ?? '').trim()
      return [{ pid: Number(other), command, guest: guestNameOf(readArguments(Number(other))), locks }]
    })
}

/** Whether process `pid` has `file` open for writing. */
export function opensForWriting(pid: number, file: FileIdentity): boolean {
  return descriptorsOf(String(pid), file).some((fdinfo) => {
    const flags = Number.parseInt(/^flags:\s+([0-7]+)/m.exec(fdinfo)?.[1] ?? '0', 8)
    return (flags & 0o3) !== 0
  })
}

function locksOf(pid: string, file: FileIdentity): FileLock[] {
  return descriptorsOf(pid, file).flatMap(parseFileLocks)
}

/** /proc/PID/fdinfo of each descriptor of the file. */
function descriptorsOf(pid: string, file: FileIdentity): string[] {
  return listOrNothing(`/proc/${pid}/fd`).flatMap((fd) => {
    const found = statOrNothing(`/proc/${pid}/fd/${fd}`)
    if (found?.ino !== file.ino || found.dev !== file.dev) return []
    return readOrNothing(`/proc/${pid}/fdinfo/${fd}`) ?? []
  })
}
