import type { Member } from '../../mesh/index.ts'
import type { Clock } from '../../runtime/clock.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { hostTag, type SliceOwners } from '../owners.ts'
import { PopularRun } from '../popularrun.ts'
import type { Refusals } from '../refusals.ts'
import { SLICE_COUNT } from '../slice.ts'
import type { View } from '../view/view.ts'
import { decodeBulletin } from './bulletincodec.ts'
import { checksumOf, GROUP_KIND, type BulletinGroup } from './bulletingroups.ts'
import { SliceStates } from './slicestates.ts'

/** After this many intervals without a message, a publisher loses its slices to the next owner. */
const SILENT_INTERVALS = 10
/** After this many intervals without a message about a slice, its pages are forgotten. */
const FORGOTTEN_INTERVALS = 20
/** Hosts that may have joined unnoticed; added to the known count when a page's host count is checked. */
const HOSTS_SLACK = 8

/**
 * Keeps the view from gossip: a slice's contents are what its publisher gossips, and its publisher is the best-ranked
 * owner that was heard. Newer versions replace older ones; a missed version marks the slice for a repair.
 */
export class Follower {
  readonly states = new SliceStates()
  readonly #scratch = new PopularRun()
  readonly #clock: Clock
  readonly #owners: SliceOwners
  readonly #view: View
  readonly #refusals: Refusals
  readonly #self: string
  readonly #minHosts: number
  readonly #intervalMs: number
  readonly #isSettled: () => boolean

  constructor(
    parts: { clock: Clock; owners: SliceOwners; view: View; refusals: Refusals },
    init: { self: string; minHosts: number; intervalMs: number; isSettled: () => boolean },
  ) {
    this.#clock = parts.clock
    this.#owners = parts.owners
    this.#view = parts.view
    this.#refusals = parts.refusals
    this.#self = init.self
    this.#minHosts = init.minHosts
    this.#intervalMs = init.intervalMs
    this.#isSettled = init.isSettled
  }

  /** Takes a gossiped message from a member. Faults in it are counted, and cost the sender standing. */
  hear(message: Uint8Array, from: Member): void {
    if (!this.#refusals.isTrusted(from)) {
      this.#refusals.refuse('untrusted', from, 0)
      return
    }
    try {
      const { groups } = decodeBulletin(message, hostTag(from.name))
      if (this.#isAbsurd(groups)) {
        if (this.#isSettled()) this.#refusals.refuse('absurd-count', from, 1)
        return
      }
      let isForeign = false
      for (const group of groups) {
        if (this.#owners.rankOf(from.name, group.slice) >= 0) this.#take(group)
        else isForeign = true
      }
      // While members come and go, honest hosts disagree on the owners.
      if (isForeign && this.#isSettled()) this.#refusals.refuse('not-owner', from, 0.25)
    } catch (error) {
      if (!(error instanceof PagemeshError) || error.code !== 'bad-bulletin') throw error
      this.#refusals.refuse(String(error.data.reason), from, 1)
    }
  }

  /** Takes a member's answer about a slice: `from` is its publisher, or repeats what it heard from the publisher. */
  learn(group: BulletinGroup, from: Member): void {
    const { slice, publisher } = group
    if (this.#owners.allOwn || group.kind !== GROUP_KIND.whole || publisher === 0) return
    if (this.#isAbsurd([group])) {
      if (this.#isSettled()) this.#refusals.refuse('absurd-count', from, 1)
      return
    }
    if (publisher === hostTag(from.name)) {
      if (this.#owners.rankOf(from.name, slice) >= 0 && this.#mayPublish(group)) this.#replace(group)
      return
    }
    // Hearsay replaces nothing or older hearsay, never what a publisher sent itself.
    const known = this.states.publishers[slice] !== 0 && !this.states.isHearsay(slice)
    if (known || publisher === hostTag(this.#self)) return
    this.#replace(group)
    this.states.markHearsay(slice)
  }

  /** This host publishes the slice itself from now on. */
  own(slice: number): void {
    this.states.set(slice, { publisher: hostTag(this.#self), incarnation: 0, version: 0, heardAt: this.#clock.now() })
  }

  /** Whether no better-ranked owner has sent anything about a slice for SILENT_INTERVALS. */
  isSilent(slice: number): boolean {
    return this.#clock.now() - this.states.heardAt[slice]! > SILENT_INTERVALS * this.#intervalMs
  }

  /** When the slice of another publisher was heard of that has been silent for longest; Infinity if there is none. */
  oldestHeardAt(): number {
    const selfTag = hostTag(this.#self)
    let oldest = Infinity
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const publisher = this.states.publishers[slice]!
      if (publisher !== 0 && publisher !== selfTag) oldest = Math.min(oldest, this.states.heardAt[slice]!)
    }
    return oldest
  }

  /**
   * Forgets slices whose publishers were silent for too long. Marks all slices for repair once a full view has room
   * again.
   */
  expire(): void {
    const hasRoom = this.#view.takeRefusedPages()
    const oldest = this.#clock.now() - FORGOTTEN_INTERVALS * this.#intervalMs
    const selfTag = hostTag(this.#self)
    for (let slice = 0; slice < SLICE_COUNT; slice++) {
      const publisher = this.states.publishers[slice]!
      if (publisher === 0 || publisher === selfTag) continue
      if (hasRoom) this.states.markBehind(slice)
      if (this.states.heardAt[slice]! > oldest) continue
      this.states.clear(slice)
      this.#view.dropSlice(slice)
    }
  }

  /** Takes a group that the publisher itself sent. */
  #take(group: BulletinGroup): void {
    const { slice, kind, version } = group
    if (this.#owners.allOwn || version === 0 || !this.#mayPublish(group)) return
    const { states } = this
    const isOlder = version < states.versions[slice]!
    // A forged version number from another host must not outweigh the publisher's own word.
    const isKnown = states.publishers[slice] === group.publisher && states.incarnations[slice] === group.incarnation &&
      !(isOlder && states.isHearsay(slice))
    if (isKnown && isOlder) return
    const isNext = isKnown && version === states.versions[slice]! + 1
    const isHere = isKnown && version === states.versions[slice] && !states.isHearsay(slice)
    const mayChange = !states.isBehind(slice)
    if (kind === GROUP_KIND.whole && !isHere) this.#replace(group)
    else if (kind === GROUP_KIND.changes && isNext && mayChange) this.#change(group)
    else if (kind === GROUP_KIND.takeover && mayChange && this.#hasChecksum(slice, group.checksum)) this.#change(group)
    else this.#hearOf(group, isKnown)
  }

  #hasChecksum(slice: number, checksum: number | undefined): boolean {
    this.#view.readSlice(slice, this.#scratch)
    return checksumOf(this.#scratch) === checksum
  }

  /** Notes that a version exists whose contents this host lacks, unless it has them. */
  #hearOf(group: BulletinGroup, isKnown: boolean): void {
    const { states } = this
    const { slice, version, publisher, incarnation } = group
    if (isKnown) {
      states.heardAt[slice] = this.#clock.now()
      if (version > states.versions[slice]!) states.markBehind(slice)
      return
    }
    states.set(slice, { publisher, incarnation, version: 0, heardAt: this.#clock.now() })
    states.markBehind(slice)
  }

  /** Whether the publisher of a group may take the slice over from the known one. */
  #mayPublish({ slice, publisher, incarnation }: BulletinGroup): boolean {
    const known = this.states.publishers[slice]!
    const isLater = incarnation >= this.states.incarnations[slice]!
    if (known === publisher) return isLater || this.states.isHearsay(slice) || this.isSilent(slice)
    const knownName = known === 0 ? undefined : this.#owners.nameOfTag(known)
    if (knownName === undefined) return true
    const knownRank = this.#owners.rankOf(knownName, slice)
    const name = this.#owners.nameOfTag(publisher)
    const rank = name === undefined ? -1 : this.#owners.rankOf(name, slice)
    return rank >= 0 && (knownRank < 0 || rank < knownRank || (knownName !== this.#self && this.isSilent(slice)))
  }

  #replace(group: BulletinGroup): void {
    this.#view.replaceSlice(group.slice, this.#popular(group))
    this.#setState(group)
  }

  #change(group: BulletinGroup): void {
    this.#view.applyChanges(group.slice, this.#popular(group))
    const isHearsay = this.states.isHearsay(group.slice)
    this.#setState(group)
    if (isHearsay) this.states.markHearsay(group.slice)
  }

  #setState({ slice, publisher, incarnation, version }: BulletinGroup): void {
    this.states.set(slice, { publisher, incarnation, version, heardAt: this.#clock.now() })
  }

  /** Pages that are popular by this host's own `minHosts`; in changes the others count as no longer popular. */
  #popular({ kind, pages }: BulletinGroup): PopularRun {
    const popular = new PopularRun(pages.count)
    for (let page = 0; page < pages.count; page++) {
      const isPopular = pages.hosts[page]! >= this.#minHosts
      if (!isPopular && kind === GROUP_KIND.whole) continue
      popular.copy(pages, page)
      if (!isPopular) popular.hosts[popular.count - 1] = 0
    }
    return popular
  }

  /** Whether a page claims more hosts than the mesh can have. */
  #isAbsurd(groups: readonly BulletinGroup[]): boolean {
    const hostsMax = this.#owners.hostCount * 2 + HOSTS_SLACK
    return groups.some(({ pages }) => {
      for (let page = 0; page < pages.count; page++) if (pages.hosts[page]! > hostsMax) return true
      return false
    })
  }
}
