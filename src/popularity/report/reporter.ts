import type { MeshPart, StreamTraffic } from '../../mesh/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { describeError, PagemeshError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { nextTurn } from '../../runtime/turn.ts'
import { withDeadline } from '../../runtime/wait.ts'
import { hostTag, type SliceOwners } from '../owners.ts'
import { SLICE_COUNT } from '../slice.ts'
import { decodeAnswer, encodeAsk, encodeReport, REPORT_PROTOCOL, type Answer } from './reportcodec.ts'
import { ReportGroups } from './reportgroups.ts'
import { CHANGES_KEPT, type Snapshot } from './snapshot.ts'
import { Told } from './told.ts'

/** Owners that this host reports to at the same time. */
const EXCHANGES_MAX = 8
/** Pages encoded before yielding to the event loop: some milliseconds. */
const PART_PAGES = 16 * 1024
/** An owner that is full is retried this many times later: a useless report costs as much as any other. */
const FULL_RETRIES = 10
/** How long an owner may take to answer a report, ms. */
const ANSWER_TIMEOUT_MS = 20_000
/** Changes that justify a report; fewer wait for more, so that a report is not mostly envelope. */
const CHANGES_DUE = 12
/**
 * How many retry intervals a host that has never held a stable page keeps silent: two census intervals. Its guests'
 * pages are stable from their second scan on. An empty report before that would cost its envelope, and most of what is
 * stable then would wait as a few changes.
 */
const EMPTY_RETRIES = 4

/**
 * How many retry intervals a few changes wait, by the number of hosts: the more hosts, the fewer of this host's pages
 * each owner has. So the bytes that a host spends on envelopes stay the same.
 */
function retriesWaited(hosts: number): number {
  return Math.min(CHANGES_KEPT / 4, Math.max(4, Math.ceil(hosts / 32)))
}

interface Duty {
  owner: string
  base: number
  /** Slices to report to it in full. */
  wholes: number[]
  /** Slices that it knows in version `base`. */
  known: number[]
}

/** Reports this host's stable pages to the owners of each slice: everything once, then the changes. */
export class Reporter {
  readonly #mesh: MeshPart
  readonly #clock: Clock
  readonly #log: Log
  readonly #owners: SliceOwners
  readonly #snapshot: Snapshot
  readonly #traffic: StreamTraffic
  readonly #incarnation: number
  readonly #retryMs: number
  readonly #told = new Told()
  /** Whether a report is still owed although nothing changed here. */
  #isOwing = true
  #toldVersion = 0
  /** When the first round was; NaN: there was none. */
  #begunAt = NaN
  /** When the last round looked for work. */
  #lookedAt = -Infinity
  /** Since when each owner has been owed a few changes. */
  readonly #waitingSince = new Map<string, number>()
  /** When an owner that did not take a report may be retried, by the clock. */
  readonly #retryAt = new Map<string, number>()
  /** When an owner last asked for a report, by the clock. */
  readonly #askedAt = new Map<string, number>()

  constructor(
    parts: { mesh: MeshPart; clock: Clock; log: Log; owners: SliceOwners; snapshot: Snapshot; traffic: StreamTraffic },
    init: { incarnation: number; retryMs: number },
  ) {
    this.#mesh = parts.mesh
    this.#clock = parts.clock
    this.#log = parts.log
    this.#owners = parts.owners
    this.#snapshot = parts.snapshot
    this.#traffic = parts.traffic
    this.#incarnation = init.incarnation
    this.#retryMs = init.retryMs
  }

  /** The owners of some slices changed. */
  ownersChanged(): void {
    this.#isOwing = true
  }

  /** An owner left. */
  forget(owner: string): void {
    this.#isOwing = true
    this.#waitingSince.delete(owner)
    this.#told.forget(owner)
    this.#retryAt.delete(owner)
    this.#askedAt.delete(owner)
  }

  /** An owner that knows nothing asks for a report. It gets the whole, but not again and again. */
  asked(owner: string): void {
    const now = this.#clock.now()
    if (now - (this.#askedAt.get(owner) ?? -Infinity) < this.#retryMs) return
    this.#askedAt.set(owner, now)
    this.#isOwing = true
    this.#told.forget(owner)
    this.#retryAt.delete(owner)
  }

  /**
   * Reports to every owner that is owed something. Resolves when all have answered or failed; a failed one is retried
   * later.
   */
  async round(signal: AbortSignal): Promise<void> {
    const now = this.#clock.now()
    if (this.#isTooEarly(now)) return
    const isNews = this.#isOwing || this.#snapshot.version !== this.#toldVersion
    if (!isNews && now - this.#lookedAt < this.#retryMs) return
    this.#isOwing = false
    this.#toldVersion = this.#snapshot.version
    this.#lookedAt = now
    const duties = this.#duties().filter((duty) => this.#isDue(duty))
    const work = async (): Promise<void> => {
      for (let duty = duties.pop(); duty !== undefined; duty = duties.pop()) {
        signal.throwIfAborted()
        await this.#tell(duty, signal)
      }
    }
    await Promise.all(Array.from({ length: Math.min(EXCHANGES_MAX, duties.length) }, work))
  }

  /** Asks a member of which this host knows nothing for its report. */
  async ask(member: string, signal: AbortSignal): Promise<void> {
    try {
      const stream = await this.#mesh.open(member, REPORT_PROTOCOL, signal)
      await this.#traffic.send(stream, encodeAsk(), signal)
      await stream.close()
    } catch (error) {
      signal.throwIfAborted()
      this.#log.debug('a member was not asked for its report', { member, error: describeError(error) })
    }
  }

  /** Whether there is nothing to tell yet, and probably will be soon. */
  #isTooEarly(now: number): boolean {
    if (Number.isNaN(this.#begunAt)) this.#begunAt = now
    return !this.#snapshot.hasHeld && now - this.#begunAt < EMPTY_RETRIES * this.#retryMs
  }

  #duties(): Duty[] {
    const { oldestBase } = this.#snapshot
    const duties = new Map<string, Duty & { tag: number }>()
    const ownerTags: number[] = []
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      for (let rank = 0; rank < this.#owners.ownersPerSlice; rank++) ownerTags[rank] = this.#owners.tagAt(slice, rank)
      this.#told.retain(slice, ownerTags)
      for (let rank = 0; rank < this.#owners.ownersPerSlice; rank++) {
        const owner = this.#owners.at(slice, rank)
        if (owner === undefined || owner === this.#mesh.self.name) continue
        let duty = duties.get(owner)
        if (duty === undefined) {
          const version = this.#told.versionOf(owner)
          duty = { owner, tag: hostTag(owner), base: version < oldestBase ? 0 : version, wholes: [], known: [] }
          duties.set(owner, duty)
        }
        if (duty.base > 0 && this.#told.has(slice, duty.tag)) duty.known.push(slice)
        else duty.wholes.push(slice)
      }
    }
    return [...duties.values()]
  }

  #isDue({ owner, base, wholes, known }: Duty): boolean {
    if (this.#clock.now() < (this.#retryAt.get(owner) ?? 0)) {
      this.#isOwing = true
      return false
    }
    if (base === 0 || wholes.length > 0) return true
    const age = this.#snapshot.version - base
    let changes = 0
    for (const slice of known) changes += this.#snapshot.countChanges(slice, base)
    if (changes >= CHANGES_DUE || age >= CHANGES_KEPT) return true
    return changes > 0 && this.#hasWaited(owner)
  }

  /** Whether an owner has been owed a few changes for long enough. */
  #hasWaited(owner: string): boolean {
    const now = this.#clock.now()
    const since = this.#waitingSince.get(owner) ?? now
    this.#waitingSince.set(owner, since)
    return now - since >= retriesWaited(this.#owners.hostCount) * this.#retryMs
  }

  async #tell(duty: Duty, signal: AbortSignal): Promise<void> {
    try {
      const answer = await this.#exchange(duty, signal)
      if (answer !== 'accepted') {
        this.#log.debug('an owner did not take a report', { owner: duty.owner, answer })
        this.#later(duty.owner, answer === 'full' ? FULL_RETRIES * this.#retryMs : this.#retryMs)
      }
    } catch (error) {
      signal.throwIfAborted()
      this.#log.debug('an owner did not get a report', { owner: duty.owner, error: describeError(error) })
      this.#later(duty.owner, error instanceof PagemeshError && error.fault === 'peer' ? this.#retryMs : 0)
    }
  }

  #later(owner: string, afterMs: number): void {
    this.#isOwing = true
    this.#retryAt.set(owner, this.#clock.now() + afterMs)
  }

  #exchange(duty: Duty, signal: AbortSignal): Promise<Answer> {
    const late = (): Error => new Error('no answer in time')
    return withDeadline(this.#clock, { signal, limitMs: ANSWER_TIMEOUT_MS, late }, async (within) => {
      const stream = await this.#mesh.open(duty.owner, REPORT_PROTOCOL, within)
      try {
        let answer = await this.#send(stream, duty, within)
        if (answer === 'need-whole') {
          this.#told.forget(duty.owner)
          answer = await this.#send(stream, { ...duty, base: 0, wholes: inOrder(duty), known: [] }, within)
        }
        await stream.close()
        return answer
      } catch (error) {
        stream.abort(error instanceof Error ? error : new Error(String(error)))
        throw error
      }
    })
  }

  async #send(stream: Awaited<ReturnType<MeshPart['open']>>, duty: Duty, signal: AbortSignal): Promise<Answer> {
    const { version } = this.#snapshot
    const head = { incarnation: this.#incarnation, number: version, base: duty.base }
    const slices = inOrder(duty)
    const isWhole = new Set(duty.wholes)
    for (let from = 0; from < slices.length;) {
      const groups = new ReportGroups()
      for (; from < slices.length && groups.count < PART_PAGES; from++) {
        const slice = slices[from]!
        if (isWhole.has(slice)) this.#snapshot.addWhole(slice, groups)
        else this.#snapshot.addChanges(slice, duty.base, groups)
      }
      for (const frame of encodeReport(head, groups, from === slices.length)) {
        await this.#traffic.send(stream, frame, signal)
      }
      if (from < slices.length) await nextTurn()
    }
    const answer = decodeAnswer(await this.#traffic.receive(stream, signal))
    if (answer === 'accepted') {
      this.#told.accept(duty.owner, version, duty.wholes, (tag, slice) => this.#isOwner(tag, slice))
      this.#retryAt.delete(duty.owner)
      this.#waitingSince.delete(duty.owner)
    }
    return answer
  }

  #isOwner(tag: number, slice: number): boolean {
    const name = this.#owners.nameOfTag(tag)
    return name !== undefined && this.#owners.owns(name, slice)
  }
}

function inOrder({ wholes, known }: Duty): number[] {
  return [...wholes, ...known].sort((a, b) => a - b)
}
