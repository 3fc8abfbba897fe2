import { writeFile } from 'node:fs/promises'

import { createTarGzip } from 'nanotar'

import { PagemeshError, systemErrorCode } from '../../runtime/errors.ts'

export interface ArchiveFile {
  name: string
  body: string
}

/** For its owner alone: it names hosts and guests. */
const MODE = 0o600

/**
 * Writes a .tar.gz with all of `files` in a directory `directory`; resolves to its bytes. Never overwrites a file.
 * Throws PagemeshError `file-unusable`.
 *
 * @param init.mtime ms since the Unix epoch.
 */
export async function writeArchive(
  path: string, files: readonly ArchiveFile[], { directory, mtime }: { directory: string; mtime: number },
): Promise<number> {
  const entries = files.map(({ name, body }) => ({ name: `${directory}/${name}`, data: body }))
  const bytes = await createTarGzip(entries, { attrs: { mode: MODE.toString(8), uid: 0, gid: 0, mtime } })
  try {
    await writeFile(path, bytes, { flag: 'wx', mode: MODE })
  } catch (cause) {
    throw unusable(path, cause)
  }
  return bytes.length
}

function unusable(path: string, cause: unknown): PagemeshError {
  const code = systemErrorCode(cause)
  const why = code === 'EEXIST' ? 'exists already' : `cannot be written (${code ?? 'unknown cause'})`
  return new PagemeshError('file-unusable', `${path} ${why}.`, { fault: 'usage', cause, advice: 'Name another file.' })
}
