import { chmod, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { syncDirectory, UNFINISHED, writeWholeFile } from '../host/wholefile.ts'
import { describeError, PagemeshError, systemErrorCode, type ErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { parseJson } from '../text/json.ts'

export const JOURNAL_LIMITS = {
  /** Unsettled handoffs at one time. Operators settle them long before there are as many. */
  recordsMax: 1000,
  recordBytesMax: 256 * 1024,
} as const

const ID = /^[0-9a-f]{1,64}$/
const SUFFIX = '.json'
const DAMAGED = '.damaged'

/** Records of unsettled handoffs, one small file each, so that they survive a crash of the agent. */
export interface Journal {
  /**
   * Writes a record atomically, in place of an earlier one of the same id. Once this resolves, the record survives a
   * power cut. Ids are hex digits. Throws PagemeshError `journal-unwritable` (such as a full disk), `journal-full` or
   * `bad-record`.
   */
  write(id: string, record: object): Promise<void>
  /** Removes a record if there is one. Throws PagemeshError `journal-unwritable`. */
  remove(id: string): Promise<void>
  /**
   * All records. Damaged files are logged and renamed to `ID.json.damaged` for the operator; files that cannot be read
   * are logged and stay. Throws PagemeshError `journal-unreadable` if the directory cannot be read.
   */
  all(): Promise<{ id: string; record: unknown }[]>
}

/** A journal in its own directory, which is created with the first record. */
export function createJournal(components: { log: Log }, init: { directory: string }): Journal {
  return new JournalDirectory(components, init)
}

class JournalDirectory implements Journal {
  readonly #log: Log
  readonly #directory: string
  /** Operations run one at a time, so that a write and a remove of one id keep their order. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(components: { log: Log }, init: { directory: string }) {
    this.#log = components.log
    this.#directory = init.directory
  }

  async write(id: string, record: object): Promise<void> {
    const path = this.#pathOf(id)
    const text = `${JSON.stringify(record)}\n`
    if (Buffer.byteLength(text) > JOURNAL_LIMITS.recordBytesMax) throw badRecord(`the record of ${id} is too long`)
    await this.#inTurn('journal-unwritable', async () => {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      // An existing directory may have another mode.
      await chmod(this.#directory, 0o700)
      const names = await this.#names()
      if (names.length >= JOURNAL_LIMITS.recordsMax && !names.includes(id + SUFFIX)) throw full(this.#directory)
      await writeWholeFile(path, text)
    })
  }

  async remove(id: string): Promise<void> {
    const path = this.#pathOf(id)
    await this.#inTurn('journal-unwritable', async () => {
      try {
        await rm(path)
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return
        throw error
      }
      await syncDirectory(this.#directory)
    })
  }

  async all(): Promise<{ id: string; record: unknown }[]> {
    return await this.#inTurn('journal-unreadable', async () => {
      const records: { id: string; record: unknown }[] = []
      for (const name of (await this.#names()).sort()) {
        const record = await this.#read(join(this.#directory, name))
        if (record !== undefined) records.push({ id: name.slice(0, -SUFFIX.length), record })
      }
      return records
    })
  }

  #pathOf(id: string): string {
    if (!ID.test(id)) throw badRecord('the id of a handoff is 1 to 64 hex digits')
    return join(this.#directory, id + SUFFIX)
  }

  /** Names of the record files. Removes files that a crash left unfinished: the record before it still stands. */
  async #names(): Promise<string[]> {
    let names: string[]
    try {
      names = await readdir(this.#directory)
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return []
      throw error
    }
    for (const name of names.filter((each) => each.endsWith(SUFFIX + UNFINISHED))) {
      await rm(join(this.#directory, name), { force: true })
    }
    return names.filter((name) => name.endsWith(SUFFIX) && ID.test(name.slice(0, -SUFFIX.length)))
  }

  async #read(path: string): Promise<object | undefined> {
    let text: string | undefined
    try {
      const file = await lstat(path)
      const isOurs = file.isFile() && file.size <= JOURNAL_LIMITS.recordBytesMax
      text = isOurs ? await readFile(path, 'utf8') : undefined
    } catch (error) {
      // The file stays: the disk may be readable again later.
      this.#log.error('a record of a handoff cannot be read', { path, error: describeError(error) })
      return undefined
    }
    const record = text === undefined ? undefined : parseRecord(text)
    if (record === undefined) await this.#setAside(path)
    return record
  }

  async #setAside(path: string): Promise<void> {
    try {
      await rename(path, path + DAMAGED)
      this.#log.error('a damaged record of a handoff was set aside', { path: path + DAMAGED })
    } catch (error) {
      this.#log.error('a damaged record of a handoff could not be set aside', { path, error: describeError(error) })
    }
  }

  async #inTurn<T>(code: ErrorCode, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work)
    // Only the caller of this operation gets its error; the next one just waits for its end.
    this.#last = turn.catch(() => undefined)
    try {
      return await turn
    } catch (cause) {
      throw cause instanceof PagemeshError ? cause : unusable(code, this.#directory, cause)
    }
  }
}

/** Undefined unless the text is a complete record. Pure. */
function parseRecord(text: string): object | undefined {
  const record = parseJson(text)
  return typeof record === 'object' && record !== null ? record : undefined
}

function unusable(code: ErrorCode, directory: string, cause: unknown): PagemeshError {
  const what = `The journal of handoffs in ${directory} cannot be used (${systemErrorCode(cause) ?? 'unknown cause'}).`
  return new PagemeshError(code, what, {
    fault: 'host', cause, data: { directory }, advice: 'Make room on its disk, and let the agent\'s user write there.',
  })
}

function full(directory: string): PagemeshError {
  const what = `${JOURNAL_LIMITS.recordsMax} handoffs of this host are not settled.`
  return new PagemeshError('journal-full', what, {
    fault: 'host', data: { directory }, advice: '`pagemesh status` lists the guests that are held; settle them first.',
  })
}

function badRecord(what: string): PagemeshError {
  return new PagemeshError('bad-record', `A record of the journal cannot be taken: ${what}.`, { fault: 'host' })
}
