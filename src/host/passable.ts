import { chmod, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Others may enter it, and neither list nor change it. */
const PASSABLE = 0o711

/**
 * Makes a directory, and those above it that are missing, so that other users may pass through, whatever the umask:
 * QEMUs of theirs meet the agent below, and members of a group its control socket. Existing ones stay as they are.
 */
export async function makePassable(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: PASSABLE })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) await chmod(made, PASSABLE)
}
