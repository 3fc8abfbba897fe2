import { lstat, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { writeWholeFile } from '../host/wholefile.ts'
import { KEY_ID_FORM } from '../mesh/index.ts'
import { REMOVED_KEYS_MAX, type RemovedKeys } from '../rotation/index.ts'
import { describeError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

/** Ids, one a line. */
const FILE_BYTES_MAX = 1024

/** The ids of the cluster keys that were removed from this host, the last one last, in a file. */
export class RemovedKeysFile implements RemovedKeys {
  readonly #log: Log
  readonly #path: string
  #ids: string[]

  private constructor(log: Log, path: string, ids: string[]) {
    this.#log = log
    this.#path = path
    this.#ids = ids
  }

  /** Changes nothing. A file that cannot be read counts as none. */
  static async read({ log }: { log: Log }, path: string): Promise<RemovedKeysFile> {
    try {
      const { size } = await lstat(path)
      const lines = size <= FILE_BYTES_MAX ? (await readFile(path, 'utf8')).split('\n') : []
      return new RemovedKeysFile(log, path, lines.filter((line) => KEY_ID_FORM.test(line)).slice(-REMOVED_KEYS_MAX))
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') {
        log.warn('which cluster keys were removed is not known', { path, error: describeError(error) })
      }
      return new RemovedKeysFile(log, path, [])
    }
  }

  ids(): readonly string[] {
    return this.#ids
  }

  /** Never rejects: what cannot be written is logged, and known until the agent ends. */
  async add(id: string): Promise<void> {
    this.#ids = [...this.#ids.filter((known) => known !== id), id].slice(-REMOVED_KEYS_MAX)
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      await writeWholeFile(this.#path, this.#ids.map((known) => `${known}\n`).join(''))
    } catch (error) {
      this.#log.warn('a removed cluster key could not be noted', { path: this.#path, error: describeError(error) })
    }
  }
}
