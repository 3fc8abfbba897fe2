/**
 * The two files of a store. The slab consists of slots of one page each, slot i at byte i * 4096. The index describes
 * their contents:
 *
 *   index  = head record*                        record i tells of slot i
 *   head   = magic version mark check zeros      4096 bytes
 *   record = id time kind zeros check            32 bytes, or 32 zeros for a free slot
 *   magic  = 8 bytes    version = u32    mark = 16 bytes, of key and tenants
 *   id     = 16 bytes   time = u32 seconds since the Unix epoch    kind = u8    zeros = 7 bytes    check = u32
 *
 * Numbers are in the host's byte order, little-endian wherever this runs. A record's check also covers its slot and the
 * mark: a record written for another slot or under another key does not pass. So the head only serves the log, and
 * losing it loses nothing. A check that passes by chance does no harm, since each page is hashed before use.
 */
import { ID_BYTES, PAGE_BYTES, type PageHasher } from '../page/index.ts'

export const HEAD_BYTES = 4096
export const RECORD_BYTES = 32
export const RECORD_WORDS = RECORD_BYTES / 4

const MAGIC = 'pagestor'
const VERSION = 1
const MARK_AT = 12
const HEAD_CHECK_AT = MARK_AT + ID_BYTES
const TIME_WORD = 4
const KIND_WORD = 5
const SPARE_WORD = 6
const CHECK_WORD = 7
/** 4 TiB of pages: the bound of a table of 32-bit numbers. */
const SLOTS_MAX = 2 ** 30

/** How many slots fit into `bytes` of disk space. */
export function slotsIn(bytes: number): number {
  return Math.min(SLOTS_MAX, Math.max(0, Math.floor((bytes - HEAD_BYTES) / (PAGE_BYTES + RECORD_BYTES))))
}

/** Disk space of this many slots. */
export function bytesOf(slots: number): number {
  return HEAD_BYTES + slots * (PAGE_BYTES + RECORD_BYTES)
}

/** Identifies the key of `hasher`'s ids without revealing it, and the tenants whose pages are kept. */
export function markOf(hasher: PageHasher, tenants: readonly string[] = []): Uint8Array {
  const mark = new Uint8Array(ID_BYTES)
  const page = Buffer.alloc(PAGE_BYTES)
  page.write(['pagemesh: the mark of a page store', ...tenants.toSorted()].join(' '))
  hasher.hashPages(page, 0, 1, mark, 0)
  return mark
}

export function encodeHead(mark: Uint8Array): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.write(MAGIC, 'latin1')
  head.writeUInt32LE(VERSION, MAGIC.length)
  head.set(mark, MARK_AT)
  head.writeUInt32LE(headCheck(head), HEAD_CHECK_AT)
  return head
}

/** Whose the store is: ours, of another version or key, or damaged in its head, so that its records must tell. */
export type HeadVerdict = 'ours' | 'other-version' | 'other-key' | 'damaged'

export function judgeHead(head: Buffer, mark: Uint8Array): HeadVerdict {
  if (head.length < HEAD_BYTES || head.toString('latin1', 0, MAGIC.length) !== MAGIC) return 'damaged'
  if (head.readUInt32LE(HEAD_CHECK_AT) !== headCheck(head)) return 'damaged'
  if (head.readUInt32LE(MAGIC.length) !== VERSION) return 'other-version'
  return head.subarray(MARK_AT, HEAD_CHECK_AT).equals(mark) ? 'ours' : 'other-key'
}

function headCheck(head: Buffer): number {
  let check = VERSION
  for (let at = 0; at < HEAD_CHECK_AT; at += 4) check = mixed(check, head.readUInt32LE(at))
  return finished(check)
}

/** The start value of the checks of a store's records. */
export function seedOf(mark: Uint8Array): number {
  return Buffer.from(mark).readUInt32LE(0)
}

/** Writes the record of `slot` as words from `at` on. Its id is in `ids` at byte `idAt`. */
export function writeRecord(
  words: Uint32Array, at: number, slot: number, seed: number, ids: Buffer, idAt: number, kind: number, time: number,
): void {
  for (let word = 0; word < TIME_WORD; word++) words[at + word] = ids.readUInt32LE(idAt + word * 4)
  words[at + TIME_WORD] = time
  words[at + KIND_WORD] = kind
  words[at + SPARE_WORD] = 0
  words[at + CHECK_WORD] = recordCheck(words, at, slot, seed)
}

/** Whether the words from `at` on are a free slot's. */
export function isFreeRecord(words: Uint32Array, at: number): boolean {
  for (let word = 0; word < RECORD_WORDS; word++) if (words[at + word] !== 0) return false
  return true
}

/** Whether the words from `at` on are a record written for `slot` under this seed. */
export function isWholeRecord(words: Uint32Array, at: number, slot: number, seed: number): boolean {
  return words[at + CHECK_WORD] === recordCheck(words, at, slot, seed)
}

/** The halves of the prefix of a record's id, its kind and its time. */
export function recordHigh(words: Uint32Array, at: number): number {
  return swapped(words[at]!)
}

export function recordLow(words: Uint32Array, at: number): number {
  return swapped(words[at + 1]!)
}

export function recordKind(words: Uint32Array, at: number): number {
  return words[at + KIND_WORD]!
}

export function recordTime(words: Uint32Array, at: number): number {
  return words[at + TIME_WORD]!
}

function recordCheck(words: Uint32Array, at: number, slot: number, seed: number): number {
  let check = mixed(seed, slot)
  for (let word = 0; word < CHECK_WORD; word++) check = mixed(check, words[at + word]!)
  return finished(check)
}

/** The rounds of MurmurHash3 for one more word, and its finish. */
function mixed(check: number, word: number): number {
  let part = Math.imul(word, 0xcc9e2d51)
  part = Math.imul((part << 15) | (part >>> 17), 0x1b873593)
  const sum = check ^ part
  return (Math.imul((sum << 13) | (sum >>> 19), 5) + 0xe6546b64) | 0
}

function finished(check: number): number {
  let part = Math.imul(check ^ (check >>> 16), 0x85ebca6b)
  part = Math.imul(part ^ (part >>> 13), 0xc2b2ae35)
  return (part ^ (part >>> 16)) >>> 0
}

/** The word with its bytes reversed: prefixes are read big-endian everywhere else. */
function swapped(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0
}
