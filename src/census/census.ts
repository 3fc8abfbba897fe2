import type { Guest } from '../guest/index.ts'
import { SortedTable, type PageScopes, type PageSource, type PrefixRun } from '../page/index.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import { describeError, PagemeshError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { Census, CensusTotals, GuestCensus } from './api.ts'
import { countDistinct } from './distinct.ts'
import { Found } from './found.ts'
import { residentSource } from './resident.ts'
import type { ScanInit } from './scan.ts'
import { Scanner } from './scanner.ts'
import { shed } from './shedding.ts'
import { addStablePages } from './stablepages.ts'

export interface CensusInit {
  /** Pages hashed a second, over all guests. The worker could hash 150 000 to 400 000. */
  pagesPerSecond: number
  /** Time between the beginnings of two scans of one guest, ms. */
  intervalMs: number
  /**
   * Bounds the tables of all guests. Beyond it the least useful pages are left out and counted as `omittedPages`. The
   * running scan needs memory beside this: at most as much again, and twice that while it sorts.
   */
  bytesMax: number
}

/** Time until a guest is tried again that could not be scanned, ms. */
const RETRY_MS = 2_000
/** Delay of an arrived guest's first scan, ms: just after arrival the guest needs the processors more. */
const ARRIVED_REST_MS = 10_000

/**
 * Share of a full census that fingerprints may take: enough for 1 TiB of guests at 1 GiB of census. For guests beyond
 * that, a page that was left out counts as volatile when it is seen again.
 */
const PRINTS_SHARE_MAX = 0.5

export interface CensusComponents {
  clock: Clock
  log: Log
  scopes: Pick<PageScopes, 'of' | 'tenantOf' | 'isLive' | 'onChange'>
}

export function createCensus(components: CensusComponents, init: CensusInit): Census {
  return new ScanningCensus(components, init)
}

interface Entry {
  guest: Guest
  /** Clock time of the next scan, ms. */
  dueAt: number
  /** Whether the first scan is still to come; false while the guest waits for a migration. */
  owed: boolean
  /** Whether it waited for a migration at the last look. */
  hasWaited: boolean
  found: Found | undefined
  /** Set while scans of it fail, so that the log says it once. */
  failing: boolean
  abort: AbortController
}

class ScanningCensus implements Census {
  readonly resident: PageSource
  readonly #clock: Clock
  readonly #log: Log
  readonly #scopes: CensusComponents['scopes']
  readonly #init: CensusInit
  readonly #scanner: Scanner
  readonly #entries = new Map<string, Entry>()
  #generation = 0
  #scans = 0
  /** Whether pages are left out, so that the log says it once. */
  #isFull = false
  /** Counted when first asked for after a change. */
  #distinctPages: number | undefined
  #timer: Timer | undefined
  #working: Promise<void> | undefined
  #started = false
  #unfollow = (): void => {}

  constructor({ clock, log, scopes }: CensusComponents, init: CensusInit) {
    this.#clock = clock
    this.#log = log
    this.#scopes = scopes
    this.#init = init
    this.#scanner = new Scanner({ clock, log }, init)
    this.resident = residentSource(() => this.all())
  }

  add(guest: Guest): void {
    this.remove(guest.name)
    this.#entries.set(guest.name, {
      guest, dueAt: this.#clock.now(), owed: true, hasWaited: false, found: undefined, failing: false,
      abort: new AbortController(),
    })
    this.#work()
  }

  remove(guestName: string): void {
    const entry = this.#entries.get(guestName)
    if (entry === undefined) return
    this.#entries.delete(guestName)
    this.#change()
    entry.abort.abort(new PagemeshError('guest-gone', `Guest ${guestName} left the census.`, { fault: 'cancelled' }))
  }

  arrived(guestName: string): void {
    const entry = this.#entries.get(guestName)
    if (entry === undefined) return
    this.#letRun(entry)
    this.#work()
  }

  of(guestName: string): GuestCensus | undefined {
    return this.#entries.get(guestName)?.found
  }

  all(): Found[] {
    return [...this.#entries.values()].flatMap((entry) => entry.found ?? [])
  }

  get generation(): number {
    return this.#generation
  }

  stablePages(firstHigh: number, lastHigh: number, into: PrefixRun, tenant?: string): void {
    const guests = this.all().filter(({ scope }) => tenant === undefined || scope.tenant === tenant)
    addStablePages(guests, firstHigh, lastHigh, into)
  }

  get totals(): CensusTotals {
    const all = this.all()
    this.#distinctPages ??= countDistinct(all.map((found) => found.table))
    return {
      distinctPages: this.#distinctPages,
      omittedPages: omittedOf(all),
      scans: this.#scans,
      bytes: bytesOf(all),
    }
  }

  get settled(): boolean {
    return [...this.#entries.values()].every((entry) => !entry.owed)
  }

  has(prefixHigh: number, prefixLow: number, prefixBits: number, tenant?: string): boolean {
    for (const { found } of this.#entries.values()) {
      if (found === undefined || (tenant !== undefined && found.scope.tenant !== tenant)) continue
      if (found.table.getByBits(prefixHigh, prefixLow, prefixBits) >= 0) return true
    }
    return false
  }

  standBack(): () => void {
    return this.#scanner.standBack()
  }

  async start(): Promise<void> {
    this.#started = true
    this.#unfollow = this.#scopes.onChange(() => this.#rescope())
    this.#work()
  }

  async stop(): Promise<void> {
    this.#started = false
    this.#unfollow()
    this.#timer?.cancel()
    for (const guestName of [...this.#entries.keys()]) this.remove(guestName)
    await this.#scanner.stop()
    await this.#working
  }

  /**
   * Guests whose scope has changed are scanned anew at once. What is known of them from before stays of use while its
   * scope lives, since other hosts may be as far.
   */
  #rescope(): void {
    for (const entry of this.#entries.values()) {
      const { found, guest } = entry
      if (found === undefined || found.scope === this.#scopes.of(guest.name)) continue
      if (!this.#scopes.isLive(found.scope)) entry.found = undefined
      entry.owed = !entry.hasWaited
      entry.dueAt = this.#clock.now()
    }
    this.#change()
    this.#work()
  }

  /** Scans the guests that are due, one at a time, then sleeps until the next one is. */
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
    if (await guest.state() === 'inmigrate') return this.#leaveAlone(entry)
    if (entry.hasWaited) return this.#letRun(entry)
    const scope = this.#scopes.of(guest.name)!
    const before = entry.found?.scope === scope ? entry.found : undefined
    if (before === undefined) entry.owed = true
    // Pages are reported after two scans. Until then scans are urgent; later ones may take their time.
    const isUrgent = before?.isCompared !== true
    const result = await this.#scanner.scan(
      guest.memory, scope.hasher, await this.#scanInit(before), abort.signal, isUrgent,
    )
    // If it began to wait for a migration meanwhile, the pages read are meaningless.
    if (await guest.state() === 'inmigrate') return this.#leaveAlone(entry)
    if (abort.signal.aborted) return
    // Hashed in a scope that the guest no longer has.
    if (this.#scopes.of(guest.name) !== scope) return void (entry.dueAt = this.#clock.now())
    const occasion = { scope, scans: (entry.found?.scans ?? 0) + 1, scannedAt: this.#clock.now() }
    const prints = result.omittedPages > 0 ? result.fingerprints : undefined
    await this.#keep(entry, new Found(guest.memory, result, occasion, prints))
    if (abort.signal.aborted) return
    entry.owed = false
    this.#scans += 1
  }

  #letRun(entry: Entry): void {
    entry.hasWaited = false
    entry.owed = entry.found === undefined
    entry.dueAt = this.#clock.now() + Math.min(ARRIVED_REST_MS, this.#init.intervalMs)
  }

  #leaveAlone(entry: Entry): void {
    entry.owed = false
    entry.hasWaited = true
    entry.dueAt = this.#clock.now() + Math.min(RETRY_MS, this.#init.intervalMs)
  }

  async #scanInit(before: Found | undefined): Promise<ScanInit> {
    const entriesMax = SortedTable.entriesIn(this.#init.bytesMax, 1)
    if (before === undefined) return { entriesMax }
    return { entriesMax, previous: await before.fingerprints() }
  }

  /** Stores a scan's result; if the census is full, the least useful pages of all guests are left out. */
  async #keep(entry: Entry, found: Found): Promise<void> {
    const others = [...this.#entries.values()].filter((other) => other !== entry && other.found !== undefined)
    const all = [found, ...others.map((other) => other.found!)]
    const { bytesMax } = this.#init
    const shorter = bytesOf(all) <= bytesMax ? all : await this.#shorten(all)
    for (const [index, holder] of [entry, ...others].entries()) holder.found = shorter[index]
    this.#change()
    const omittedPages = omittedOf(this.all())
    if (omittedPages > 0 && !this.#isFull) {
      this.#log.warn('the census is full: the least useful pages are left out', { omittedPages, bytesMax })
    }
    this.#isFull = omittedPages > 0
  }

  async #shorten(all: readonly Found[]): Promise<Found[]> {
    const { bytesMax } = this.#init
    const printBytes = all.reduce((sum, found) => sum + found.fingerprintBytes, 0)
    const isRoomForPrints = printBytes <= bytesMax * PRINTS_SHARE_MAX
    const tableBytes = isRoomForPrints ? bytesMax - printBytes : bytesMax
    const remaining = await shed(all.map(({ table }) => table), SortedTable.entriesIn(tableBytes, all.length))
    const shorter: Found[] = []
    for (const [index, found] of all.entries()) shorter.push(await found.shortened(remaining[index]!, isRoomForPrints))
    return shorter
  }

  #change(): void {
    this.#generation += 1
    this.#distinctPages = undefined
  }
}

function omittedOf(all: readonly Found[]): number {
  return all.reduce((sum, found) => sum + found.omittedPages, 0)
}

function bytesOf(all: readonly Found[]): number {
  return all.reduce((sum, { bytes }) => sum + bytes, 0)
}
