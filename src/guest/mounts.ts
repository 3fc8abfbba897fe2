/**
 * Whether another process sees a directory of ours under the same name. A process in a mount namespace of its own
 * (a container) or below another root (`-chroot`) may not. Only the kernel's lists of mounts are read, and no path is
 * followed below that process' root: what lies there may belong to an attacker.
 */
import { realpath } from 'node:fs/promises'

import { readOrNothing } from './vanishing.ts'

/** A line of /proc/PID/mountinfo. */
export interface Mount {
  /** Number of the file system, as `major:minor`. */
  device: string
  /** The directory of that file system which is mounted. */
  root: string
  /** Where, as seen from the process' root. */
  at: string
}

/** Parses /proc/PID/mountinfo. Pure. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [, , device, root, at] = line.split(' ')
    return device === undefined || root === undefined || at === undefined
      ? [] : [{ device, root: unescaped(root), at: unescaped(at) }]
  })
}

/** The file system and the path in it to which an absolute `path` leads; undefined below no mount. Pure. */
export function placeOf(mounts: readonly Mount[], path: string): string | undefined {
  let over: Mount | undefined
  for (const mount of mounts) {
    // Of two at the same place the later one covers the earlier.
    if (isBelow(path, mount.at) && mount.at.length >= (over?.at.length ?? 0)) over = mount
  }
  if (over === undefined) return undefined
  const rest = over.at === '/' ? path : path.slice(over.at.length)
  return `${over.device} ${over.root === '/' ? '' : over.root}${rest === '/' ? '' : rest}`
}

/** Whether process `pid` finds `directory` at the same path; true if that cannot be told. */
export async function seesDirectory(pid: number, directory: string): Promise<boolean> {
  const path = await realpath(directory)
  const [ours, theirs] = ['self', pid].map((process) => readOrNothing(`/proc/${process}/mountinfo`))
  if (ours === undefined || theirs === undefined) return true
  const place = placeOf(parseMounts(ours), path)
  return place === undefined || place === placeOf(parseMounts(theirs), path)
}

function isBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`)
}

/** Spaces, line ends and backslashes are written as octal numbers. */
function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}
