import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Suffix of a file's name until all of the file is on the disk. */
export const UNFINISHED = '.new'

/**
 * Writes a file atomically, mode 0600: even after a crash or a power cut it holds either the new text or the old.
 * `prepare` may give it another owner and mode before anything is in it. Rejects with the file system's error, such as
 * ENOSPC.
 */
export async function writeWholeFile(
  path: string, text: string, prepare?: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`
  try {
    // A file left by a crash may have another mode.
    await rm(unfinished, { force: true })
    await using file = await open(unfinished, 'wx', 0o600)
    await prepare?.(file)
    await file.writeFile(text)
    await file.sync()
    await rename(unfinished, path)
  } catch (error) {
    // Frees disk space, and leaves no secret there. Its own error does not matter: the one above is thrown.
    await rm(unfinished, { force: true }).catch(() => undefined)
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Makes files created or removed in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  await directory.sync()
}
