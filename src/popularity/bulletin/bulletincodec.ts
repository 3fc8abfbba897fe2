/**
 * Bulletins (gossiped by the publisher of some slices) and views (one host's answer to another) as bytes.
 *
 * Goals: each message can be read by itself; a member that missed one learns it from the versions in the next.
 * Non-goals: completeness (the most popular pages come first, the rest in later messages); signatures (the mesh signs
 * gossip; in a view, only the publisher's own groups count for more than hearsay).
 *
 *   message = version flags incarnation tagCount tag* groupCount rice group*
 *   version = 8 bits, 1      flags = 8 bits: 1 groups name their publishers (a view), 2 last message of a view
 *   incarnation = 32 bits    tagCount = gamma of tagCount + 1      tag = 32 bits, a host's (owners.ts)
 *   groupCount = 13 bits     rice = 6 bits
 *   group   = gap kind [publisher incarnation] number [checksum] [count rising page{count}]
 *   gap     = gamma: slice - slice before, from -1      kind = 2 bits      number = gamma of the slice's version + 1
 *   publisher = index of its tag, in as many bits as tags need             incarnation = 32 bits
 *   checksum = 32 bits, in a takeover only (bulletingroups.ts)
 *   count   = gamma of count + 1, rising = rests as Golomb-Rice codes: both absent where nothing changed
 *   page    = hosts [guests holder{3}]     hosts = gamma of hosts + 1, 1 is "no longer popular", and ends the page
 *   guests  = gamma of guests - hosts + 1  holder = index of a tag, from 1; 0: none
 */
import { BitReader, BitWriter } from '../../bytes/bits.ts'
import { readRising, RICE_MAX, riceFor, writeRising } from '../../page/index.ts'
import { PagemeshError } from '../../runtime/errors.ts'
import { LIMITS } from '../limits.ts'
import { HOLDERS_MAX, PopularRun } from '../popularrun.ts'
import { REST_LIMIT, SLICE_COUNT } from '../slice.ts'
import { createGroup, GROUP_KIND, type BulletinGroup, type GroupKind } from './bulletingroups.ts'

const VERSION = 1
const FLAG = { publishers: 1, last: 2 } as const
const COUNT_MAX = 0xffff
/** Shared by all groups without pages; nothing is ever pushed to the run of a decoded group. */
const NOTHING = new PopularRun(0)

export interface Bulletin {
  /** When the sender started, seconds since the epoch. */
  incarnation: number
  groups: BulletinGroup[]
}

/** A gossiped message of the publisher's own slices, in rising order. */
export function encodeBulletin({ incarnation, groups }: Bulletin): Uint8Array {
  return encode({ flags: 0, incarnation, groups })
}

/** One message of a view: groups of any publishers, in rising order of their slices. */
export function encodeViewPart(groups: BulletinGroup[], isLast: boolean): Uint8Array {
  return encode({ flags: FLAG.publishers + (isLast ? FLAG.last : 0), incarnation: 0, groups })
}

/**
 * Decodes a bulletin; its groups carry `publisherTag`. Throws PagemeshError `bad-bulletin`, with the reason in
 * `data.reason`, on bytes that no Pagemesh publisher writes.
 */
export function decodeBulletin(bytes: Uint8Array, publisherTag: number): Bulletin {
  if (bytes.length > LIMITS.bulletinBytes) throw bad('too-large', 'it is too long')
  const { flags, incarnation, groups } = decode(bytes, publisherTag)
  if (flags !== 0) throw bad('malformed', 'its flags are unknown')
  return { incarnation, groups }
}

/** Decodes one message of a view. Throws like `decodeBulletin`. */
export function decodeViewPart(bytes: Uint8Array): { groups: BulletinGroup[]; isLast: boolean } {
  const { flags, groups } = decode(bytes, 0)
  const isView = flags === FLAG.publishers || flags === FLAG.publishers + FLAG.last
  if (!isView) throw bad('malformed', 'its flags are unknown')
  return { groups, isLast: (flags & FLAG.last) !== 0 }
}

/** Upper bound of the bits that a page takes when its holders are already in the list of tags. */
export function pageBitsMax(hosts: number, guests: number): number {
  return RICE_MAX + 3 + 2 * Math.log2(hosts + 1) + 1 + 2 * Math.log2(guests - hosts + 1) + 1 + HOLDERS_MAX * 12
}

/** Bytes per named host. */
export const TAG_BYTES = 4

function bad(reason: string, why: string): PagemeshError {
  return new PagemeshError('bad-bulletin', `A bulletin of popular pages cannot be read: ${why}.`, {
    fault: 'peer', phase: 'gossip', data: { reason },
  })
}

function encode(message: { flags: number; incarnation: number; groups: BulletinGroup[] }): Uint8Array {
  const { flags, incarnation, groups } = message
  const namesPublishers = (flags & FLAG.publishers) !== 0
  const tags = tagsOf(groups, namesPublishers)
  const count = groups.reduce((sum, { pages }) => sum + pages.count, 0)
  const rice = riceFor(groups.filter(({ pages }) => pages.count > 0).length * REST_LIMIT, count)
  const out = new BitWriter(64 + count * 12 + tags.size * 4 + groups.length * 16)
  out.writeBits(VERSION, 8)
  out.writeBits(flags, 8)
  out.writeBits(incarnation, 32)
  out.writeGamma(tags.size + 1)
  for (const tag of tags.keys()) out.writeBits(tag, 32)
  out.writeBits(groups.length, 13)
  out.writeBits(rice, 6)
  const tagBits = bitsFor(tags.size)
  let sliceBefore = -1
  for (const group of groups) {
    out.writeGamma(group.slice - sliceBefore)
    out.writeBits(group.kind, 2)
    if (namesPublishers) {
      out.writeBits(tags.get(group.publisher) ?? 0, tagBits)
      out.writeBits(group.incarnation, 32)
    }
    out.writeGamma(group.version + 1)
    if (group.kind === GROUP_KIND.takeover) out.writeBits(group.checksum ?? 0, 32)
    if (group.kind !== GROUP_KIND.still) writePages(out, group.pages, rice, tags, tagBits)
    sliceBefore = group.slice
  }
  return out.finish()
}

function writePages(out: BitWriter, pages: PopularRun, rice: number, tags: Map<number, number>, tagBits: number): void {
  out.writeGamma(pages.count + 1)
  writeRising(out, pages.rests, 0, pages.count, rice)
  for (let page = 0; page < pages.count; page++) {
    const hosts = pages.hosts[page]!
    out.writeGamma(hosts + 1)
    if (hosts === 0) continue
    out.writeGamma(Math.max(hosts, pages.guests[page]!) - hosts + 1)
    for (let holder = 0; holder < HOLDERS_MAX; holder++) {
      out.writeBits(tags.get(pages.holders[page * HOLDERS_MAX + holder]!) ?? 0, tagBits)
    }
  }
}

/** The tags that a message names, each with its index in the list, from 1. */
function tagsOf(groups: BulletinGroup[], namesPublishers: boolean): Map<number, number> {
  const tags = new Map<number, number>()
  const add = (tag: number): void => {
    if (tag !== 0 && !tags.has(tag) && tags.size < LIMITS.tagsPerBulletin) tags.set(tag, tags.size + 1)
  }
  // Publishers first: a holder may be left out of a full list, a publisher may not.
  if (namesPublishers) for (const { publisher } of groups) add(publisher)
  for (const { pages } of groups) {
    for (let holder = 0; holder < pages.count * HOLDERS_MAX; holder++) add(pages.holders[holder]!)
  }
  return tags
}

/** Bits of a number from 0 to `max`. */
function bitsFor(max: number): number {
  return 32 - Math.clz32(max)
}

function decode(bytes: Uint8Array, senderTag: number): { flags: number; incarnation: number; groups: BulletinGroup[] } {
  if (bytes.length > LIMITS.frameBytes + LIMITS.tagsPerBulletin * 4) throw bad('too-large', 'it is too long')
  const input = new BitReader(bytes)
  if (input.readBits(8) !== VERSION) throw bad('malformed', 'its version is unknown')
  const flags = input.readBits(8)
  const incarnation = input.readBits(32)
  const tagCount = input.readGamma() - 1
  if (!(tagCount <= LIMITS.tagsPerBulletin)) throw bad('too-large', 'it names too many hosts')
  if (tagCount * 32 > input.bitsLeft) throw bad('malformed', 'it is cut short')
  const tags = new Uint32Array(tagCount + 1)
  for (let tag = 1; tag <= tagCount; tag++) tags[tag] = input.readBits(32)
  const groupCount = input.readBits(13)
  const rice = input.readBits(6)
  if (groupCount > SLICE_COUNT || rice > RICE_MAX) throw bad('malformed', 'its head is bad')
  const namesPublishers = (flags & FLAG.publishers) !== 0
  const reader = new GroupReader(input, tags, rice, namesPublishers, { publisher: senderTag, incarnation })
  const groups: BulletinGroup[] = []
  for (let group = 0; group < groupCount; group++) groups.push(reader.next())
  if (input.exhausted || input.bitsLeft >= 8) throw bad('malformed', 'it does not end where it says')
  return { flags, incarnation, groups }
}

class GroupReader {
  readonly #input: BitReader
  readonly #tags: Uint32Array
  readonly #tagBits: number
  readonly #rice: number
  readonly #namesPublishers: boolean
  readonly #sender: { publisher: number; incarnation: number }
  #slice = -1
  #pages = 0

  constructor(
    input: BitReader, tags: Uint32Array, rice: number, namesPublishers: boolean,
    sender: { publisher: number; incarnation: number },
  ) {
    this.#input = input
    this.#tags = tags
    this.#tagBits = bitsFor(tags.length - 1)
    this.#rice = rice
    this.#namesPublishers = namesPublishers
    this.#sender = sender
  }

  next(): BulletinGroup {
    const input = this.#input
    this.#slice += input.readGamma()
    if (!(this.#slice < SLICE_COUNT)) throw bad('malformed', 'its slices are out of bounds')
    const kind = input.readBits(2)
    const { publisher, incarnation } = this.#namesPublishers
      ? { publisher: this.#readTag(), incarnation: input.readBits(32) } : this.#sender
    const version = input.readGamma() - 1
    if (!(version < 2 ** 32) || input.exhausted) throw bad('malformed', 'it is cut short')
    const checksum = kind === GROUP_KIND.takeover ? { checksum: input.readBits(32) } : {}
    const group = { slice: this.#slice, kind: kind as GroupKind, version, publisher, incarnation, ...checksum }
    if (kind === GROUP_KIND.still) return { ...group, pages: NOTHING }
    const count = input.readGamma() - 1
    this.#pages += count
    if (!(this.#pages <= LIMITS.pagesPerBulletin)) throw bad('too-large', 'it has too many pages')
    if (this.#namesPublishers && count > LIMITS.pagesPerSlice) throw bad('too-large', 'a slice has too many pages')
    if (count * (this.#rice + 2) > input.bitsLeft) throw bad('malformed', 'it is cut short')
    const whole = createGroup(group, count)
    this.#readPages(whole.pages, count, kind === GROUP_KIND.whole)
    return whole
  }

  #readPages(into: PopularRun, count: number, isWhole: boolean): void {
    const fault = readRising(this.#input, into.rests, 0, count, this.#rice, REST_LIMIT)
    if (fault !== undefined) throw bad('malformed', fault)
    into.count = count
    for (let page = 0; page < count; page++) {
      const hosts = this.#input.readGamma() - 1
      if (!(hosts <= COUNT_MAX)) throw bad('absurd-count', 'a page has too many hosts')
      if (hosts === 0 && isWhole) throw bad('contradictory', 'a page of a whole slice is not popular')
      into.hosts[page] = hosts
      if (hosts > 0) this.#readGuests(into, page, hosts)
    }
    if (this.#input.exhausted) throw bad('malformed', 'it is cut short')
  }

  #readGuests(into: PopularRun, page: number, hosts: number): void {
    const guests = hosts + this.#input.readGamma() - 1
    if (!(guests <= hosts * LIMITS.guestsPerHost)) throw bad('absurd-count', 'a page has more guests than can be')
    into.guests[page] = Math.min(COUNT_MAX, guests)
    for (let holder = 0; holder < HOLDERS_MAX; holder++) into.holders[page * HOLDERS_MAX + holder] = this.#readTag()
  }

  #readTag(): number {
    const index = this.#input.readBits(this.#tagBits)
    if (index >= this.#tags.length) throw bad('malformed', 'a host is not in its list')
    return this.#tags[index]!
  }
}
