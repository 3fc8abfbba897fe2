import { lstat, mkdir, open, readFile, rename, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

import { isoTime, type Clock, type Timer } from '../runtime/clock.ts'
import { describeError, systemErrorCode } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { parseJson, printableJson } from '../text/json.ts'
import { AuditTally, type AuditEvent } from './audittally.ts'

export type { AuditEvent } from './audittally.ts'

/** At this size the file is rotated; one older file is kept. */
const FILE_BYTES_MAX = 8 * 2 ** 20
/** Interval over which repeated events are added up. */
const MINUTE_MS = 60_000
/** Lines queued while the disk cannot be written; further lines are only counted, and the count is written. */
const WAITING_MAX = 1000

/** A line of the audit log: what happened, and when it was written. */
export type AuditRecord = AuditEvent & {
  /** ISO 8601, UTC. */
  at: string
}

/**
 * Guests moved, pages that members fetched, and requests refused: an append-only file of JSON lines, and one older
 * file. Repeated events become one line a minute.
 */
export interface Audit {
  start(): Promise<void>
  /** Writes the queued lines. */
  stop(): Promise<void>
  /** Records an event. Never throws: a full disk is logged once a minute and stops nothing. */
  note(event: AuditEvent): void
  /** The last records, newest first. Rejects with the file system's error if a file cannot be read. */
  last(countMax: number): Promise<AuditRecord[]>
}

export function createAudit(
  components: { clock: Clock; log: Log }, init: Partial<AuditInit> & { path: string },
): Audit {
  return new AuditFile(components, { bytesMax: FILE_BYTES_MAX, everyMinute: () => [], ...init })
}

interface AuditInit {
  path: string
  bytesMax: number
  /** Events to record for the minute that ends. */
  everyMinute: () => AuditEvent[]
}

class AuditFile implements Audit {
  readonly #clock: Clock
  readonly #log: Log
  readonly #path: string
  readonly #init: AuditInit
  readonly #tally = new AuditTally()
  readonly #waiting: string[] = []
  #lost = 0
  /** Whether the last line may be incomplete: the disk was full, or an earlier agent process was killed. */
  #isTorn = true
  #warnedAt = -Infinity
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(components: { clock: Clock; log: Log }, init: AuditInit) {
    this.#clock = components.clock
    this.#log = components.log
    this.#path = init.path
    this.#init = init
  }

  async start(): Promise<void> {
    this.#timer ??= this.#clock.every(MINUTE_MS, () => this.#endMinute())
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#endMinute()
    await this.#writing
  }

  note(event: AuditEvent): void {
    if (this.#tally.add(event)) return
    this.#append(event)
    this.#flush()
  }

  async last(countMax: number): Promise<AuditRecord[]> {
    // The answer includes the events that are still being added up.
    this.#endMinute()
    await this.#writing
    const texts = [await readIfThere(`${this.#path}.old`), await readIfThere(this.#path)]
    const lines = texts.join('').split('\n').filter((line) => line !== '').slice(-countMax)
    return lines.map(parseRecord).filter((record) => record !== undefined).toReversed()
  }

  #endMinute(): void {
    for (const event of this.#init.everyMinute()) this.#tally.add(event)
    for (const event of this.#tally.take()) this.#append(event)
    this.#flush()
  }

  #append(event: AuditEvent): void {
    if (this.#waiting.length >= WAITING_MAX) {
      this.#waiting.shift()
      this.#lost += 1
    }
    this.#waiting.push(this.#lineOf(event))
  }

  /** Escapes control characters: fields hold other hosts' text, and printing the file must not change a terminal. */
  #lineOf(event: AuditEvent): string {
    return `${printableJson({ at: isoTime(this.#clock.wallTime()), ...event })}\n`
  }

  #flush(): void {
    if (this.#waiting.length > 0) this.#writing = this.#writing.then(() => this.#write())
  }

  async #write(): Promise<void> {
    if (this.#waiting.length === 0) return
    if (this.#lost > 0) {
      this.#waiting.unshift(this.#lineOf({ event: 'lost', count: this.#lost }))
      this.#lost = 0
    }
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
      await using file = await this.#open()
      if (this.#isTorn && (await file.stat()).size > 0) await file.appendFile('\n')
      this.#isTorn = false
      // One by one: if the disk fills up, lines already written are not written again.
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        await file.appendFile(line)
        // This line may have been dropped from the queue meanwhile.
        if (this.#waiting[0] === line) this.#waiting.shift()
      }
    } catch (error) {
      this.#isTorn = true
      if (this.#clock.now() - this.#warnedAt < MINUTE_MS) return
      this.#warnedAt = this.#clock.now()
      this.#log.error('the audit log cannot be written', { path: this.#path, error: describeError(error) })
    }
  }

  /** Opens the file for appending; rotates it first if it has reached its size. */
  async #open(): Promise<FileHandle> {
    const file = await open(this.#path, 'a', 0o600)
    const { size } = await file.stat()
    if (size < this.#init.bytesMax) return file
    await file.close()
    await rename(this.#path, `${this.#path}.old`)
    return await open(this.#path, 'a', 0o600)
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return (await lstat(path)).isFile() ? await readFile(path, 'utf8') : ''
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return ''
    throw error
  }
}

/** Undefined for an incomplete line. Pure. */
function parseRecord(line: string): AuditRecord | undefined {
  const record = parseJson(line)
  if (typeof record !== 'object' || record === null) return undefined
  const { at, event } = record as Record<string, unknown>
  return typeof at === 'string' && typeof event === 'string' ? record as AuditRecord : undefined
}
