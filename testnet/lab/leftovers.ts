import { existsSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Takes away the directories of labs whose process is no more: `pm-PID-…`, as a cluster names its own. The kernel ends
 * their agents and guests with them, and their namespaces go when the next network is made. Returns their paths.
 */
export function deleteOrphanedDirectories(parent = tmpdir()): string[] {
  const orphans = readdirSync(parent).filter((name) => {
    const owner = /^pm-(\d+)-/.exec(name)?.[1]
    return owner !== undefined && !existsSync(`/proc/${owner}`)
  }).map((name) => join(parent, name))
  for (const path of orphans) rmSync(path, { recursive: true, force: true })
  return orphans
}
