import { lstat, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { writeWholeFile } from '../host/wholefile.ts'
import type { Clock } from '../runtime/clock.ts'
import { describeError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'

/** The last second that fits the protocols' 32 bits. */
const SECOND_MAX = 2 ** 32 - 2
/** A number and an end of line. */
const FILE_BYTES_MAX = 16

/**
 * When the agent started, by its own count: in seconds, later than at any start before, even if the clock was set back
 * meanwhile. Other hosts take what an earlier start said for older.
 */
export class StartFile {
  readonly startedAt: number
  readonly #log: Log
  readonly #path: string

  private constructor(log: Log, path: string, startedAt: number) {
    this.#log = log
    this.#path = path
    this.startedAt = startedAt
  }

  /** Changes nothing. A file that cannot be read counts as none. */
  static async read({ clock, log }: { clock: Clock; log: Log }, path: string): Promise<StartFile> {
    let before = -1
    try {
      const { size } = await lstat(path)
      const text = size <= FILE_BYTES_MAX ? (await readFile(path, 'utf8')).trim() : ''
      if (/^\d{1,10}$/.test(text)) before = Number(text)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') {
        log.warn('when this agent last started is not known', { path, error: describeError(error) })
      }
    }
    const now = Math.floor(clock.wallTime() / 1000)
    return new StartFile(log, path, Math.min(SECOND_MAX, Math.max(now, before + 1)))
  }

  /** Notes this start. Never rejects: what cannot be written is logged. */
  async write(): Promise<void> {
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      await writeWholeFile(this.#path, `${this.startedAt}\n`)
    } catch (error) {
      this.#log.warn('the start of this agent could not be noted', { path: this.#path, error: describeError(error) })
    }
  }
}
