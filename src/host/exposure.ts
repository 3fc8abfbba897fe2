/**
 * Whether another user could replace the agent's own files: a user who may write a directory can replace its entries,
 * and its owner can give himself that right.
 */
import { lstat, readFile, readlink } from 'node:fs/promises'
import { dirname, join, parse, resolve } from 'node:path'

import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

/** A directory or link that others can change, why, and how to mend it. */
export interface Exposure {
  path: string
  why: string
  advice: string
}

export interface TrustInit {
  /** Users that may change the directories. */
  users: readonly number[]
  /** Whether a directory's group may write it: its members are then trusted. */
  trustsGroups: boolean
}

interface Step {
  path: string
  isLink: boolean
  uid: number
  gid: number
  mode: number
}

const OTHERS_WRITE = 0o002
const GROUP_WRITES = 0o020
/** Only the owner of a file, or of the directory, may remove it. */
const STICKY = 0o1000
const ROOT = 0
/** Like the kernel's MAXSYMLINKS. */
const LINKS_MAX = 40
/** Owner of files whose real owner has no number in this user namespace. */
const NOBODY = 65534

/** What is wrong with one step of the path; undefined if only `users` can change it. Pure. */
export function exposureOf({ path, isLink, uid, gid, mode }: Step, init: TrustInit): Exposure | undefined {
  if (!init.users.includes(uid)) {
    return { path, why: `${path} belongs to user ${uid}`, advice: `Run \`chown -h root ${path}\`.` }
  }
  if (isLink || (mode & STICKY) !== 0) return undefined
  if ((mode & OTHERS_WRITE) !== 0) {
    return { path, why: `every user may write ${path}`, advice: `Run \`chmod o-w ${path}\`.` }
  }
  if ((mode & GROUP_WRITES) === 0 || gid === ROOT || init.trustsGroups) return undefined
  return { path, why: `the group ${gid} may write ${path}`, advice: `Run \`chmod g-w ${path}\`.` }
}

/**
 * The first directory, or link on the way, from the root to `directory` that others can change; undefined if there is
 * none. A missing directory is no exposure: its creator owns it.
 */
export async function findExposure(directory: string, init: TrustInit): Promise<Exposure | undefined> {
  const trust = { ...init, users: [...init.users, ...await unmappedUsers()] }
  let ahead = resolve(directory).split('/').filter((name) => name !== '')
  let here = parse(resolve(directory)).root
  let links = 0
  for (;;) {
    const step = await look(here)
    if (step === undefined) return undefined
    const exposure = exposureOf(step, trust)
    if (exposure !== undefined) return exposure
    if (step.isLink) {
      links += 1
      if (links > LINKS_MAX) return { path: here, why: `${here} is in a loop of links`, advice: 'Remove that link.' }
      const target = resolve(dirname(here), await readlink(here))
      ahead = [...target.split('/').filter((name) => name !== ''), ...ahead]
      here = parse(target).root
      continue
    }
    const next = ahead.shift()
    if (next === undefined) return undefined
    here = join(here, next)
  }
}

/** Throws PagemeshError `directory-exposed` if others than root and the agent's user can change the path to it. */
export async function requireUnexposed(directory: string, use: string): Promise<void> {
  const users = [ROOT, process.geteuid?.() ?? ROOT]
  const exposure = await findExposure(directory, { users, trustsGroups: false })
  if (exposure === undefined) return
  throw new PagemeshError('directory-exposed', `Other users can change ${use}: ${exposure.why}.`, {
    fault: 'usage', phase: 'start', advice: exposure.advice, data: { directory, path: exposure.path },
  })
}

async function look(path: string): Promise<Step | undefined> {
  try {
    const file = await lstat(path)
    return { path, uid: file.uid, gid: file.gid, mode: file.mode, isLink: file.isSymbolicLink() }
  } catch (error) {
    const code = systemErrorCode(error)
    // A missing directory exposes nothing, and an unreadable one is refused where it is used.
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return undefined
    throw error
  }
}

/** In a user namespace that maps few users, root's own directories belong to nobody. */
async function unmappedUsers(): Promise<number[]> {
  // Without this file there are no user namespaces.
  const map = await readFile('/proc/self/uid_map', 'utf8').catch(() => '0 0 4294967295')
  return isMapped(map, NOBODY) ? [] : [NOBODY]
}

/** Whether a user has a number in this namespace, by the lines `inside outside count`. Pure. */
export function isMapped(map: string, uid: number): boolean {
  return map.trim().split('\n').some((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number)
    return first <= uid && uid < first + count
  })
}
