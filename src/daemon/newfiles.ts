import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, open, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { requireUnexposed } from '../host/exposure.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

export interface NewFile {
  path: string
  mode: number
  /** What it is, for messages. */
  use: string
}

interface Reserved extends NewFile {
  unfinished: string
  file: FileHandle
}

/**
 * New files that appear together, each whole and with its mode, or not at all; none replaces another. Reserving them
 * shows beforehand that they can be written.
 */
export class NewFiles implements AsyncDisposable {
  readonly #reserved: Reserved[] = []
  /** Undo functions, run in reverse order unless the files were published. */
  readonly #undo: (() => Promise<unknown>)[] = []

  /** Throws PagemeshError `file-exists`, `join-not-written`, or `directory-exposed` where others could replace them. */
  static async reserve(files: readonly NewFile[]): Promise<NewFiles> {
    await using made = new NewFiles()
    for (const file of files) await made.#reserve(file)
    return made.#moved()
  }

  /** Writes them, in the order in which they were reserved, and gives them their names. */
  async publish(texts: readonly string[]): Promise<void> {
    for (const [index, { file, mode, path }] of this.#reserved.entries()) {
      await written(path, async () => {
        await file.writeFile(texts[index] ?? '')
        // An unusual umask may have removed bits.
        await file.chmod(mode)
        await file.sync()
      })
    }
    for (const reserved of this.#reserved) await this.#name(reserved)
    for (const { path } of this.#reserved) await written(path, () => syncDirectory(dirname(path)))
    for (const { unfinished } of this.#reserved) await rm(unfinished, { force: true })
    this.#undo.length = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { file } of this.#reserved) await file.close()
    // What cannot be removed is reported by the error that led here.
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo().catch(() => undefined)
  }

  async #reserve(wanted: NewFile): Promise<void> {
    const { path, use } = wanted
    await written(path, async () => {
      if (await isThere(path)) throw exists(wanted)
      await this.#directory(dirname(path))
      await requireUnexposed(dirname(path), use)
      const unfinished = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}`)
      const file = await open(unfinished, 'wx', 0o600)
      this.#undo.push(() => rm(unfinished, { force: true }))
      this.#reserved.push({ ...wanted, unfinished, file })
    })
  }

  async #directory(path: string): Promise<void> {
    if (await isThere(path)) return
    await mkdir(path, { mode: 0o755 })
    // Only if nothing else is in it by then.
    this.#undo.push(() => rmdir(path))
  }

  /** Unlike a rename, a link fails where a file is. */
  async #name(reserved: Reserved): Promise<void> {
    const { path, unfinished } = reserved
    await written(path, async () => {
      try {
        await link(unfinished, path)
      } catch (error) {
        throw systemErrorCode(error) === 'EEXIST' ? exists(reserved) : error
      }
    })
    this.#undo.push(() => rm(path))
  }

  /** The same files in another's hands: this one undoes nothing any more. */
  #moved(): NewFiles {
    const other = new NewFiles()
    other.#reserved.push(...this.#reserved.splice(0))
    other.#undo.push(...this.#undo.splice(0))
    return other
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r')
  await directory.sync()
}

async function written<Result>(path: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (cause) {
    if (cause instanceof PagemeshError) throw cause
    const code = systemErrorCode(cause) ?? 'unknown cause'
    throw new PagemeshError('join-not-written', `${path} cannot be written (${code}).`, {
      fault: 'host', data: { path }, cause, advice: 'Check the path, and that this user may write there.',
    })
  }
}

function exists({ path, use }: NewFile): PagemeshError {
  return new PagemeshError('file-exists', `${path} exists already and was left as it is.`, {
    fault: 'host', data: { path }, advice: `Give another path for ${use}, or move that file away.`,
  })
}
