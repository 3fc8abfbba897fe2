/** What a package may leave in a system, and what it may not. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** Logs, what dpkg keeps for itself, the copies that passwd's programs make, and what systemd writes as it runs. */
const KEPT_BY_OTHERS = [
  'var/log', 'var/lib/dpkg', 'var/cache', 'var/lib/systemd', 'etc/passwd-', 'etc/group-', 'etc/shadow-', 'etc/gshadow-',
  'etc/subuid-', 'etc/subgid-', 'etc/.pwd.lock', 'tmp', 'var/tmp', 'root',
]

/** Each path below `root` with mode, owner and, for files and links, what they hold or when that was written. */
export async function footprint(root: string): Promise<string[]> {
  const without = KEPT_BY_OTHERS.flatMap((path) => ['-path', `./${path}`, '-prune', '-o'])
  // Programs for users write files of etc anew, perhaps as they were.
  const script = `cd "$0" && find . "$@" \\( -printf '%p %y %m %u %g %l\\n' \\) &&
    find . -path ./etc -prune -o "$@" \\( -type f -printf '%p %s %T@\\n' \\) &&
    find ./etc "$@" \\( -type f -print0 \\) | xargs -0 sha256sum`
  const { stdout } = await promisify(execFile)('sh', ['-c', script, root, ...without], { maxBuffer: 64 * 1024 * 1024 })
  return stdout.split('\n').sort()
}
