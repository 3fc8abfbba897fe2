import type { Member } from '../../mesh/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Random } from '../../runtime/random.ts'
import type { Members } from '../members.ts'
import type { SliceOwners } from '../owners.ts'
import { SLICE_COUNT } from '../slice.ts'
import type { BulletinGroup } from './bulletingroups.ts'
import type { Follower } from './follower.ts'
import type { ViewExchange } from './viewexchange.ts'

/** Publishers asked per round: those of missed versions (at least BEHIND_MIN), and those known only by hearsay. */
const BEHIND_MIN = 16
const BEHIND_SHARE = 8
const HEARSAY_MAX = 4
/** A request whose answer broke off is repeated after this share of the usual time. */
const BROKEN_SHARE = 1 / 4
/**
 * A host that lacks more slices than this is a newcomer: it asks a neighbour for everything. One that lacks fewer, and
 * got less than FEW_SHARE of them since its last round, missed the first bulletins about them: it asks the publishers.
 */
const LACKING_MAX = SLICE_COUNT / 2
const FEW_SHARE = 1 / 4
/** Neighbours asked that know nothing themselves, before a newcomer assumes that all are newcomers. */
const NEWCOMER_TRIES = 3
/**
 * When every slice is published by its first owner: after this many intervals without a change of the members, if most
 * have reported for some of them, or else after more intervals.
 */
const OVERDUE_INTERVALS = { unchanged: 1.25, reported: 0.75, unreported: 2.25 }

interface Parts {
  clock: Clock
  log: Log
  random: Random
  owners: SliceOwners
  members: Members
  exchange: ViewExchange
  follower: Follower
}

/**
 * Asks for what this host has missed: a newcomer asks any neighbour for all slices, a host that missed a bulletin asks
 * the publisher.
 */
export class Repairs {
  readonly #parts: Parts
  readonly #intervalMs: number
  readonly #reportedMs: () => number
  #askedAllAt = -Infinity
  /** A newcomer asks at once, whatever gossip brings meanwhile, until one answer had most slices. */
  #triesLeft = NEWCOMER_TRIES
  #lackingBefore = 0
  /** When each publisher was last asked, by tag. */
  readonly #askedAt = new Map<number, number>()

  /** @param init.reportedMs for how long most members have reported to this host, ms; negative: they have not. */
  constructor(parts: Parts, init: { intervalMs: number; reportedMs: () => number }) {
    this.#parts = parts
    this.#intervalMs = init.intervalMs
    this.#reportedMs = init.reportedMs
  }

  /** Least time between two requests to the same host, ms. */
  get #retryMs(): number {
    return this.#intervalMs / 2
  }

  async round(signal: AbortSignal): Promise<void> {
    const { owners, clock } = this.#parts
    if (owners.allOwn) return
    const lacking = SLICE_COUNT - this.#parts.follower.states.knownCount
    // While gossip fills the view, as when all hosts start at once, no request is needed.
    const isFilling = lacking < this.#lackingBefore
    const isFilled = lacking <= LACKING_MAX && lacking >= this.#lackingBefore * (1 - FEW_SHARE)
    this.#lackingBefore = lacking
    const due = this.#due(isFilled)
    const isDue = !isFilling && clock.now() - this.#askedAllAt >= this.#retryMs
    if (this.#triesLeft > 0 ? lacking > 0 : lacking > LACKING_MAX && isDue) {
      this.#askedAllAt = clock.now()
      const learned = await this.#ask(this.#neighbour(), 'all', signal)
      // A neighbour that is a newcomer itself knows little more: the next one is asked.
      if (learned !== undefined) this.#triesLeft = learned > LACKING_MAX ? 0 : Math.max(0, this.#triesLeft - 1)
    }
    const behindMax = Math.max(BEHIND_MIN, owners.hostCount / BEHIND_SHARE)
    const publishers = [...[...due.behind].slice(0, behindMax), ...[...due.hearsay].slice(0, HEARSAY_MAX)]
    await Promise.all(publishers.map(async ([tag, slices]) => {
      this.#askedAt.set(tag, clock.now())
      const learned = await this.#ask(this.#memberOf(tag), slices, signal)
      if (learned === undefined) this.#askedAt.set(tag, clock.now() - this.#retryMs * (1 - BROKEN_SHARE))
    }))
    for (const [tag, at] of this.#askedAt) if (clock.now() - at >= this.#retryMs) this.#askedAt.delete(tag)
  }

  /** Slices to ask for, by the tag of the host to ask. */
  #due(isFilled: boolean): { behind: Map<number, number[]>; hearsay: Map<number, number[]> } {
    const { owners, members, follower: { states } } = this.#parts
    const behind = new Map<number, number[]>()
    const hearsay = new Map<number, number[]>()
    // A host that knows another publisher than the first owner missed that it publishes.
    const isOverdue = this.#areFirstOverdue(members.quietMs / this.#intervalMs)
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const first = owners.tagAt(slice, 0)
      const publisher = states.publishers[slice]!
      const isMissed = publisher === 0 && isFilled
      if (isMissed || (isOverdue && publisher !== first)) this.#add(behind, first, slice)
      else if (states.isBehind(slice)) this.#add(behind, publisher, slice)
      else if (states.isHearsay(slice)) this.#add(hearsay, publisher, slice)
    }
    return { behind, hearsay }
  }

  #areFirstOverdue(quietIntervals: number): boolean {
    const { unchanged, reported, unreported } = OVERDUE_INTERVALS
    const areReported = this.#reportedMs() > reported * this.#intervalMs
    return quietIntervals > (areReported ? unchanged : unreported)
  }

  #add(lists: Map<number, number[]>, tag: number, slice: number): void {
    if (this.#askedAt.has(tag) || this.#memberOf(tag) === undefined) return
    const list = lists.get(tag)
    if (list === undefined) lists.set(tag, [slice])
    else list.push(slice)
  }

  #memberOf(tag: number): Member | undefined {
    const name = this.#parts.owners.nameOfTag(tag)
    return name === undefined ? undefined : this.#parts.members.named(name)
  }

  #neighbour(): Member | undefined {
    const { members, random } = this.#parts
    const name = members.names[Math.floor(random.fraction() * members.count)]
    return name === undefined ? undefined : members.named(name)
  }

  /** Returns how many slices the member sent; undefined if the answer broke off. */
  async #ask(
    member: Member | undefined, slices: number[] | 'all', signal: AbortSignal,
  ): Promise<number | undefined> {
    if (member === undefined) return undefined
    const { exchange, follower, log } = this.#parts
    let learned = 0
    const learn = (group: BulletinGroup, from: Member): void => {
      follower.learn(group, from)
      learned += 1
    }
    try {
      await exchange.ask(member, slices, learn, signal)
      return learned
    } catch (error) {
      signal.throwIfAborted()
      log.debug('a member did not answer with its view', { member: member.name, error: describeError(error) })
      return undefined
    }
  }
}
