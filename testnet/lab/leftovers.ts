import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Deletes the directories of labs whose process has ended: `pm-PID-…`, as clusters are named. The kernel has ended
 * their agents and guests, and their namespaces are removed when the next network is made. Returns the paths.
 */
export function deleteOrphanedDirectories(parent = tmpdir()): string[] {
  const orphans = readdirSync(parent).filter((name) => {
    const owner = /^pm-(\d+)-/.exec(name)?.[1]
    return owner !== undefined && !existsSync(`/proc/${owner}`)
  }).map((name) => join(parent, name))
  for (const path of orphans) {
    for (const disk of mountedBelow(path)) execFileSync('umount', [disk])
    rmSync(path, { recursive: true, force: true })
  }
  return orphans
}

function mountedBelow(path: string): string[] {
  const places = readFileSync('/proc/self/mounts', 'utf8').split('\n').map((line) => line.split(' ')[1] ?? '')
  return places.filter((place) => place.startsWith(`${path}/`))
}
