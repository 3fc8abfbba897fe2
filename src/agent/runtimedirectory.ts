import { chmod, mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { removeStaleRooms } from '../guest/index.ts'
import { requireUnexposed } from '../host/exposure.ts'
import { makePassable } from '../host/passable.ts'
import { PagemeshError } from '../runtime/errors.ts'

/**
 * Opens the directory where the agent meets its QEMUs, or makes one of its own; `close` takes it away. Throws
 * PagemeshError `bad-directory` or `directory-exposed`.
 */
export async function openRuntimeDirectory(
  path: string | undefined,
): Promise<{ path: string; close: () => Promise<void> }> {
  if (path === undefined) {
    const own = await mkdtemp(join(tmpdir(), 'pagemesh-'))
    // QEMUs of other users pass through it.
    await chmod(own, 0o711)
    return { path: own, close: () => rm(own, { recursive: true, force: true }) }
  }
  await requireUnexposed(path, 'where the agent meets its guests')
  try {
    await makePassable(path)
    await removeStaleRooms(path)
  } catch (cause) {
    throw new PagemeshError('bad-directory', `The directory ${path} cannot be used.`, {
      fault: 'host', phase: 'start', cause, advice: 'Make it writable for the agent, or name another one.',
    })
  }
  // It stays if something of others is in it.
  return { path, close: () => rmdir(path).catch(() => undefined) }
}
