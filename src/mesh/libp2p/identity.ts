import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

import { requireUnexposed } from '../../host/exposure.ts'
import { PagemeshError, systemErrorCode } from '../../runtime/errors.ts'

/**
 * The bytes of this host's private key, kept at `path` (mode 0600) and made by `generate` at the first start, so that a
 * host keeps its peer id across restarts. Throws PagemeshError `identity-unusable`, or `directory-exposed` where others
 * could replace it.
 */
export async function keepIdentity(path: string, generate: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await requireUnexposed(dirname(path), 'the identity of this host')
    const identity = await readIfThere(path)
    if (identity !== undefined) return identity
  } catch (error) {
    throw error instanceof PagemeshError ? error : unusable(path, error)
  }
  try {
    const identity = await generate()
    await writeWhole(path, identity)
    return identity
  } catch (error) {
    throw unusable(path, error)
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    await requireUnexposed(path, 'the identity of this host')
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Writes a temporary file first: a crash must not leave half a key at the path. */
async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.new`
  await rm(draft, { force: true })
  {
    await using file = await open(draft, 'wx', 0o600)
    await file.writeFile(bytes)
    await file.sync()
  }
  await rename(draft, path)
}

export function unusable(path: string, cause: unknown): PagemeshError {
  return new PagemeshError('identity-unusable', `The identity of this host, ${path}, cannot be used.`, {
    fault: 'host', data: { path }, cause,
    advice: 'Check the permissions of the file; if it is damaged, remove it: the host then gets a new peer id.',
  })
}
