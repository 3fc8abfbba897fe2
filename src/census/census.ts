import type { Guest, GuestMemory } from '../guest/index.ts'
import { createPageHasher, type PageSource, type PrefixTable } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { countDistinct } from './distinct.ts'
import type { Census, CensusTotals, GuestCensus } from './index.ts'
import { residentSource } from './resident.ts'
import { sideBytesOf, type Fingerprints, type ScanResult } from './scan.ts'
import { Scanner } from './scanner.ts'

export interface CensusInit {
  /** 32 bytes, derived from the cluster key. */
  pageKey: Uint8Array
  /** Pages hashed a second, over all guests: the census' share of a CPU (an agent's worker does about 150 k/s). */
  pagesPerSecond: number
  /** Time between the beginnings of two scans of one guest, ms. */
  intervalMs: number
  /**
   * Bounds what is kept of all guests. Pages that no longer fit are left out, and counted in `omittedPages`.
   * The one scan that runs holds its own table beside it, at most the size that it may keep.
   */
  bytesMax: number
}

/** A guest whose state forbids a scan is looked at again after this, ms; so is one whose scan failed. */
const RETRY_MS = 2_000

export function createCensus(components: { clock: Clock; log: Log }, init: CensusInit): Census {
  return new ScanningCensus(components, init)
}

interface Entry {
  guest: Guest
  /** When the next scan is due, by the clock. */
  dueAt: number
  /** Whether its first scan is owed: not while the guest waits for a migration. */
  owed: boolean
  found: Found | undefined
  /** Set while scans of it fail, so that the log says it once. */
  failing: boolean
  abort: AbortController
}

class Found implements GuestCensus {
  readonly guest: string
  readonly residentPages: number
  readonly zeroPages: number
  readonly distinctPages: number
  readonly omittedPages: number
  readonly scans: number
  readonly scannedAt: number
  readonly table: PrefixTable
  readonly memory: GuestMemory
  readonly #stableBits: Uint8Array
  /** Lent to the scan that runs. */
  #fingerprints: Fingerprints | undefined
  readonly bytes: number

  constructor(memory: GuestMemory, result: ScanResult, scans: number, scannedAt: number) {
    this.guest = memory.name
    this.memory = memory
    this.residentPages = result.residentPages
    this.zeroPages = result.zeroPages
    this.distinctPages = result.distinctPages
    this.omittedPages = result.omittedPages
    this.table = result.table
    this.scans = scans
    this.scannedAt = scannedAt
    this.#stableBits = result.stableBits
    this.#fingerprints = result.fingerprints
    this.bytes = result.table.bytes + result.stableBits.byteLength + result.fingerprints.byteLength
  }

  isStable(pageNumber: number): boolean {
    return (this.#stableBits[pageNumber >>> 3]! & (1 << (pageNumber & 7))) !== 0
  }

  lendFingerprints(): Fingerprints | undefined {
    const lent = this.#fingerprints
    this.#fingerprints = undefined
    return lent
  }
}

class ScanningCensus implements Census {
  readonly resident: PageSource
  readonly #clock: Clock
  readonly #log: Log
  readonly #init: CensusInit
  readonly #scanner: Scanner
  readonly #entries = new Map<string, Entry>()
  #scans = 0
  /** Counted when first asked for after a change. */
  #distinctPages: number | undefined
  #timer: Timer | undefined
  #working: Promise<void> | undefined
  #started = false

  constructor({ clock, log }: { clock: Clock; log: Log }, init: CensusInit) {
    this.#clock = clock
    this.#log = log
    this.#init = init
    this.#scanner = new Scanner({ clock, log, hasher: createPageHasher(init.pageKey) }, init)
    this.resident = residentSource(() => this.all())
  }

  add(guest: Guest): void {
    this.remove(guest.name)
    this.#entries.set(guest.name, {
      guest, dueAt: this.#clock.now(), owed: true, found: undefined, failing: false, abort: new AbortController(),
    })
    this.#work()
  }

  remove(guestName: string): void {
    const entry = this.#entries.get(guestName)
    if (entry === undefined) return
    this.#entries.delete(guestName)
    this.#distinctPages = undefined
    entry.abort.abort(new PagemeshError('guest-gone', `Guest ${guestName} left the census.`, { fault: 'cancelled' }))
  }

  of(guestName: string): GuestCensus | undefined {
    return this.#entries.get(guestName)?.found
  }

  all(): Found[] {
    return [...this.#entries.values()].flatMap((entry) => entry.found ?? [])
  }

  get totals(): CensusTotals {
    const all = this.all()
    this.#distinctPages ??= countDistinct(all.map((found) => found.table))
    return {
      distinctPages: this.#distinctPages,
      omittedPages: all.reduce((sum, found) => sum + found.omittedPages, 0),
      scans: this.#scans,
      bytes: all.reduce((sum, found) => sum + found.bytes, 0),
    }
  }

  get settled(): boolean {
    return [...this.#entries.values()].every((entry) => !entry.owed)
  }

  has(prefixHigh: number, prefixLow: number, prefixBits: number): boolean {
    for (const { found } of this.#entries.values()) {
      if (found !== undefined && found.table.getByBits(prefixHigh, prefixLow, prefixBits) >= 0) return true
    }
    return false
  }

  standBack(): () => void {
    return this.#scanner.standBack()
  }

  async start(): Promise<void> {
    this.#started = true
    this.#work()
  }

  async stop(): Promise<void> {
    this.#started = false
    this.#timer?.cancel()
    for (const guestName of [...this.#entries.keys()]) this.remove(guestName)
    await this.#scanner.stop()
    await this.#working
  }

  /** Works through what is due, one guest at a time, then sleeps until something is. */
  #work(): void {
    if (!this.#started || this.#working !== undefined) return
    this.#timer?.cancel()
    this.#working = this.#scanDue().finally(() => {
      this.#working = undefined
      const dueAt = Math.min(...[...this.#entries.values()].map((entry) => entry.dueAt))
      if (!this.#started || dueAt === Infinity) return
      this.#timer = this.#clock.after(Math.max(0, dueAt - this.#clock.now()), () => this.#work())
    })
  }

  async #scanDue(): Promise<void> {
    for (let entry = this.#nextDue(); entry !== undefined; entry = this.#nextDue()) {
      const begunAt = this.#clock.now()
      entry.dueAt = begunAt + this.#init.intervalMs
      try {
        await this.#scanEntry(entry)
        entry.failing = false
      } catch (error) {
        if (!entry.abort.signal.aborted) this.#retryLater(entry, error)
      }
    }
  }

  #retryLater(entry: Entry, error: unknown): void {
    entry.dueAt = this.#clock.now() + Math.min(RETRY_MS, this.#init.intervalMs)
    const isOrdinary = entry.failing || (error instanceof PagemeshError && error.code === 'guest-gone')
    this.#log[isOrdinary ? 'debug' : 'warn']('a guest could not be scanned', {
      guest: entry.guest.name, error: describeError(error),
    })
    entry.failing = true
  }

  /** The guest that has been due for longest. */
  #nextDue(): Entry | undefined {
    if (!this.#started) return undefined
    const due = [...this.#entries.values()].filter((entry) => entry.dueAt <= this.#clock.now())
    return due.sort((a, b) => a.dueAt - b.dueAt)[0]
  }

  async #scanEntry(entry: Entry): Promise<void> {
    const { guest, abort } = entry
    // A guest that waits for a migration is empty, and must be left alone until it runs.
    if (await guest.state() === 'inmigrate') {
      entry.owed = false
      entry.dueAt = this.#clock.now() + Math.min(RETRY_MS, this.#init.intervalMs)
      return
    }
    if (entry.found === undefined) entry.owed = true
    const before = entry.found
    const previous = before?.lendFingerprints()
    const result = await this.#scanner.scan(guest.memory, {
      tableBytesMax: this.#tableRoom(entry), ...(previous === undefined ? {} : { previous }),
    }, abort.signal)
    if (abort.signal.aborted) return
    entry.found = new Found(guest.memory, result, (before?.scans ?? 0) + 1, this.#clock.now())
    entry.owed = false
    this.#scans += 1
    this.#distinctPages = undefined
    if (result.omittedPages > 0 && (before?.omittedPages ?? 0) === 0) {
      this.#log.warn('the census is full: pages of a guest are left out', {
        guest: guest.name, omittedPages: result.omittedPages, bytesMax: this.#init.bytesMax,
      })
    }
  }

  /** Bytes that a guest's new table may take: what the other guests leave over, without what goes with each page. */
  #tableRoom(entry: Entry): number {
    const others = this.all().filter((found) => found !== entry.found)
    const taken = others.reduce((sum, found) => sum + found.bytes, 0)
    return Math.max(0, this.#init.bytesMax - taken - sideBytesOf(entry.guest.memory))
  }
}
