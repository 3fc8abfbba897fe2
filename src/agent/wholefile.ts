import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** What a file is called until all of it is on the disk. */
export const UNFINISHED = '.new'

/**
 * Writes a file for its owner alone, whole or not at all: whoever reads it, after a crash or a power cut as well, finds
 * either all of the new text or the file as it was. Rejects with the error of the file system, such as ENOSPC.
 */
export async function writeWholeFile(path: string, text: string): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`
  try {
    // What a crash left there may have another mode.
    await rm(unfinished, { force: true })
    await using file = await open(unfinished, 'wx', 0o600)
    await file.writeFile(text)
    await file.sync()
    await rename(unfinished, path)
  } catch (error) {
    // It gives its room back if it can; the error above is the one that counts.
    await rm(unfinished, { force: true }).catch(() => undefined)
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Makes sure that files which came into a directory, or went, are so after a power cut as well. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  await directory.sync()
}
