import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, lstat, mkdir, open, rename, rm, rmdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { requireUnexposed } from '../host/exposure.ts'
import { PagemeshError, systemErrorCode } from '../runtime/errors.ts'

export interface NewFile {
  path: string
  mode: number
  /** What it is, for messages. */
  use: string
  /** Whether a file with this text may be replaced; left out: none may. */
  mayReplace?: (text: string) => boolean
}

/** What a file gets; `before` is the text that it replaces, empty if there is none. */
export type NewText = string | ((before: string) => string)

interface Reserved extends NewFile {
  unfinished: string
  file: FileHandle
  /** The text that is replaced. */
  before: string | undefined
}

/** Most that is read of a file that may be replaced: a longer one says something. */
const BEFORE_BYTES_MAX = 1024 * 1024

/**
 * New files that appear together, each whole and with its mode, or not at all; none replaces another, unless it says
 * that it may. Reserving them shows beforehand that they can be written.
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
  async publish(texts: readonly NewText[]): Promise<void> {
    for (const [index, { file, mode, path, before = '' }] of this.#reserved.entries()) {
      const text = texts[index] ?? ''
      await written(path, async () => {
        await file.writeFile(typeof text === 'string' ? text : text(before))
        // An unusual umask may have removed bits.
        await file.chmod(mode)
        await file.sync()
      })
    }
    for (const reserved of this.#reserved) await this.#name(reserved)
    for (const { path } of this.#reserved) await written(path, () => syncDirectory(dirname(path)))
    for (const { unfinished } of this.#reserved) {
      for (const path of [unfinished, oldOf(unfinished)]) await rm(path, { force: true })
    }
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
      const before = await textBefore(wanted)
      await this.#directory(dirname(path))
      await requireUnexposed(dirname(path), use)
      const unfinished = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}`)
      const file = await open(unfinished, 'wx', 0o600)
      this.#undo.push(() => rm(unfinished, { force: true }))
      this.#reserved.push({ ...wanted, unfinished, file, before })
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
    const { path, unfinished, before } = reserved
    await written(path, async () => {
      if (before !== undefined) {
        await this.#replace(reserved, before)
        return
      }
      try {
        await link(unfinished, path)
      } catch (error) {
        throw systemErrorCode(error) === 'EEXIST' ? exists(reserved) : error
      }
      this.#undo.push(() => rm(path))
    })
  }

  /** The old file keeps a second name until all is done. Only this user may change the directory. */
  async #replace(reserved: Reserved, before: string): Promise<void> {
    const { path, unfinished } = reserved
    if (await textBefore(reserved) !== before) throw exists(reserved)
    const old = oldOf(unfinished)
    await link(path, old)
    this.#undo.push(() => rm(old, { force: true }))
    await rename(unfinished, path)
    this.#undo.push(() => rename(old, path))
  }

  /** The same files in another's hands: this one undoes nothing any more. */
  #moved(): NewFiles {
    const other = new NewFiles()
    other.#reserved.push(...this.#reserved.splice(0))
    other.#undo.push(...this.#undo.splice(0))
    return other
  }
}

function oldOf(unfinished: string): string {
  return `${unfinished}.old`
}

/** The text that is replaced; undefined where no file is. Throws PagemeshError `file-exists` if it must stay. */
async function textBefore(wanted: NewFile): Promise<string | undefined> {
  const { path, mayReplace } = wanted
  if (!await isThere(path)) return undefined
  if (mayReplace === undefined) throw exists(wanted)
  // Whatever leads elsewhere stays, and opening a pipe must not wait for its other end.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  await using file = await open(path, flags).catch(() => { throw exists(wanted) })
  const { size } = await file.stat().then((stat) => (stat.isFile() ? stat : { size: Infinity }))
  if (size > BEFORE_BYTES_MAX) throw exists(wanted)
  const text = await file.readFile('utf8')
  if (!mayReplace(text)) throw exists(wanted)
  return text
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
