import { lstat, readlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

import { PagemeshError } from './errors.ts'

const OTHERS_MAY_WRITE = 0o022
const STICKY = 0o1000
const LINKS_MAX = 40

/** What a path leads over. */
export interface PathStep {
  path: string
  uid: number
  mode: number
  isLink: boolean
}

/**
 * Makes sure that nobody but root and this process's user can put something else in the place of `path`: neither there
 * nor at any directory or link on the way to it. `what` is named in the message, such as "the cluster key".
 * Throws PagemeshError `path-exposed`, or the file system's error.
 */
export async function requireTrustedPath(path: string, what: string): Promise<void> {
  const ownUid = process.geteuid?.() ?? 0
  for await (const step of stepsTo(path)) {
    const flaw = flawOf(step, ownUid)
    if (flaw !== undefined) throw exposed(what, step.path, flaw)
  }
}

/** What is wrong with a step of the way; undefined: nothing. Pure. */
export function flawOf({ uid, mode, isLink }: PathStep, ownUid: number): 'owner' | 'mode' | undefined {
  if (uid !== 0 && uid !== ownUid) return 'owner'
  // A link's own mode says nothing, and in root's sticky directories everyone may touch only what is theirs.
  const isSticky = (mode & STICKY) !== 0 && uid === 0
  return isLink || isSticky || (mode & OTHERS_MAY_WRITE) === 0 ? undefined : 'mode'
}

async function* stepsTo(path: string): AsyncGenerator<PathStep> {
  const left = namesOf(resolve(path))
  let at = '/'
  let links = 0
  for (let name: string | undefined = ''; name !== undefined; name = left.shift()) {
    const here = join(at, name)
    const stats = await lstat(here)
    yield { path: here, uid: stats.uid, mode: stats.mode, isLink: stats.isSymbolicLink() }
    if (!stats.isSymbolicLink()) {
      at = here
      continue
    }
    links += 1
    if (links > LINKS_MAX) throw new Error(`too many links on the way to ${path}`)
    left.unshift(...namesOf(resolve(dirname(here), await readlink(here))))
    at = '/'
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '')
}

function exposed(what: string, path: string, flaw: 'owner' | 'mode'): PagemeshError {
  const whose = flaw === 'owner' ? 'belongs to another user' : 'may be written to by others than its owner'
  return new PagemeshError('path-exposed', `Others could replace ${what}: ${path} ${whose}.`, {
    fault: 'usage', phase: 'start', data: { path },
    advice: flaw === 'owner'
      ? `Run \`chown root ${path}\`, or choose a path that belongs to root or the agent's user.`
      : `Run \`chmod go-w ${path}\`, or choose a path that only its owner may write to.`,
  })
}
