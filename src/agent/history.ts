import { lstat, mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import type { Manager } from '../guest/index.ts'
import { writeWholeFile } from '../host/wholefile.ts'
import { isoTime, type Clock } from '../runtime/clock.ts'
import { describeError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { parseJson } from '../text/json.ts'
import type { RelayResult } from '../transfer/index.ts'
import type { HandoffRecord } from './api.ts'

/** Handoffs that are remembered; the oldest go first. A record takes about a kilobyte. */
const HISTORY_RECORDS_MAX = 200
/** A longer line or file counts as damaged. */
const LINE_CHARACTERS_MAX = 64 * 1024
const FILE_BYTES_MAX = HISTORY_RECORDS_MAX * LINE_CHARACTERS_MAX

/** Which way a handoff went, and who told QEMU to migrate. Default: this host's agent. */
export interface HandoffAbout {
  direction: HandoffRecord['direction']
  driver?: HandoffRecord['driver']
  manager?: Manager | undefined
}

/** The last handoffs of a host, failed ones too: a file of JSON lines, oldest first. It survives a restart. */
export interface History {
  /** Reads an earlier agent's file. Never rejects: unreadable lines are logged and dropped. */
  start(): Promise<void>
  /** Never rejects: a failed write is logged and tried again with the next handoff. */
  add(result: RelayResult, about: HandoffAbout): Promise<void>
  /** Newest first. */
  list(): HandoffRecord[]
}

export function createHistory(components: { clock: Clock; log: Log }, init: { path: string }): History {
  return new HistoryFile(components, init)
}

class HistoryFile implements History {
  readonly #clock: Clock
  readonly #log: Log
  readonly #path: string
  /** Oldest first, as in the file. */
  #records: HandoffRecord[] = []
  #writing: Promise<void> = Promise.resolve()

  constructor(components: { clock: Clock; log: Log }, init: { path: string }) {
    this.#clock = components.clock
    this.#log = components.log
    this.#path = init.path
  }

  async start(): Promise<void> {
    const lines = (await this.#read()).split('\n').filter((line) => line !== '')
    // An agent writes no more lines than that.
    const found = lines.slice(-HISTORY_RECORDS_MAX).map(parseRecord).filter((record) => record !== undefined)
    this.#records = [...found, ...this.#records].slice(-HISTORY_RECORDS_MAX)
    const damaged = lines.length - found.length
    if (damaged > 0) this.#log.warn('damaged lines of the history are left out', { path: this.#path, damaged })
  }

  add(result: RelayResult, { direction, driver = 'qmp', manager }: HandoffAbout): Promise<void> {
    const endedAt = isoTime(this.#clock.wallTime())
    this.#records.push({ ...result, direction, driver, ...(manager === undefined ? {} : { manager }), endedAt })
    if (this.#records.length > HISTORY_RECORDS_MAX) this.#records.shift()
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  list(): HandoffRecord[] {
    return this.#records.toReversed()
  }

  async #read(): Promise<string> {
    try {
      const { size } = await lstat(this.#path)
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, and a history has ${FILE_BYTES_MAX} at most`)
      return await readFile(this.#path, 'utf8')
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') {
        this.#log.warn('the history of handoffs could not be read', { path: this.#path, error: describeError(error) })
      }
      return ''
    }
  }

  /** Writes the whole file each time: it is small, handoffs are rare, and a failed write is made up for. */
  async #write(): Promise<void> {
    const text = this.#records.map((record) => `${JSON.stringify(record)}\n`).join('')
    try {
      await mkdir(dirname(this.#path), { recursive: true })
      await writeWholeFile(this.#path, text)
    } catch (error) {
      this.#log.warn('the history of handoffs could not be written', { path: this.#path, error: describeError(error) })
    }
  }
}

/** Undefined if the line is no record of a handoff. Pure. */
function parseRecord(line: string): HandoffRecord | undefined {
  if (line.length > LINE_CHARACTERS_MAX) return undefined
  const parsed = parseJson(line)
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const record = parsed as Record<string, unknown>
  const texts = [record.guest, record.from, record.to, record.mode, record.status, record.direction, record.endedAt]
  const numbers = [record.totalMs, record.qemuBytes, record.wireBytes]
  const isWhole = texts.every((text) => typeof text === 'string') && numbers.every((count) => typeof count === 'number')
  // Agents without relaying wrote no driver.
  return isWhole ? { driver: 'qmp', ...parsed } as HandoffRecord : undefined
}
